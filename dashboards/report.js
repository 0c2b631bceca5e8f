// Draws each figure when it comes into view, and lets the curves follow the choice of trials.
"use strict";
(() => {
  const config = { displaylogo: false, responsive: true, displayModeBar: false };
  const NARROW_PX = 600;
  const specs = new Map();
  const choice = { text: "", pressed: [] };

  const isChosen = (names) =>
    names.some((name) => name.toLowerCase().includes(choice.text)) &&
    (!choice.pressed.length || names.some((name) => choice.pressed.includes(name)));

  function fitted(spec, place) {
    const layout = structuredClone(spec.layout);
    const narrow = place.clientWidth < NARROW_PX;
    const isEnd = (each) => (each.name || "").startsWith("end ");
    layout.annotations = (layout.annotations || []).filter(
      (each) => !isEnd(each) || (!narrow && isChosen([each.name.slice(4)])));
    if (narrow) layout.margin = { ...layout.margin, r: 10, l: Math.min(50, layout.margin.l) };
    return layout;
  }

  function draw(place) {
    const spec = specs.get(place);
    const data = place.dataset.kind === "curves"
      ? spec.data.map((line) => ({ ...line, visible: isChosen(line.meta || [""]) }))
      : spec.data;
    return Plotly.react(place, data, fitted(spec, place), config);
  }

  function build(place) {
    if (specs.has(place)) return;
    const source = place.querySelector("script");
    specs.set(place, JSON.parse(source.textContent));
    source.remove();
    draw(place).then(() => {
      if (!performance.getEntriesByName("first plot").length) performance.mark("first plot");
    });
  }

  // One figure a frame: the first shows before the second is drawn.
  const waiting = [];
  function buildNext() {
    if (waiting.length) build(waiting.shift());
    if (waiting.length) requestAnimationFrame(() => setTimeout(buildNext));
  }

  const places = [...document.querySelectorAll(".plot")];
  const seen = new IntersectionObserver((entries) => {
    const fresh = entries.filter((entry) => entry.isIntersecting).map((entry) => entry.target);
    fresh.forEach((place) => seen.unobserve(place));
    const idle = !waiting.length;
    waiting.push(...fresh);
    if (idle) buildNext();
  }, { rootMargin: "300px" });
  places.forEach((place) => seen.observe(place));
  addEventListener("beforeprint", () => places.forEach(build));

  let wasNarrow = innerWidth < NARROW_PX;
  addEventListener("resize", () => {
    const isNarrow = innerWidth < NARROW_PX;
    if (isNarrow !== wasNarrow) [...specs.keys()].forEach(draw);
    wasNarrow = isNarrow;
  });

  const form = document.querySelector("form.choice");
  if (!form) return;
  const field = form.querySelector("input");
  const buttons = [...form.querySelectorAll("button")];
  const trials = JSON.parse(form.dataset.trials);
  function choose() {
    choice.text = field.value.trim().toLowerCase();
    choice.pressed = buttons
      .filter((each) => each.getAttribute("aria-pressed") === "true")
      .flatMap((each) => JSON.parse(each.dataset.trials));
    const count = trials.filter((name) => isChosen([name])).length;
    form.querySelector("output").value =
      count < trials.length ? `${count} of ${trials.length} trials` : "";
    [...specs.keys()].filter((place) => place.dataset.kind === "curves").forEach(draw);
  }
  field.addEventListener("input", choose);
  form.addEventListener("submit", (event) => event.preventDefault());
  for (const button of buttons) {
    button.addEventListener("click", () => {
      button.setAttribute("aria-pressed", button.getAttribute("aria-pressed") !== "true");
      choose();
    });
  }
})();

// Opens the viewer when its button is pressed. Everything it needs lies in the page.
(() => {
  "use strict";
  const root = document.getElementById("viewer3d");
  const button = root.querySelector(".viewer-start button");
  const status = root.querySelector("[role=status]");
  const body = root.querySelector(".viewer-body");
  const place = root.querySelector(".viewer-place");
  const control = (name) => root.querySelector(`[name=${name}]`);
  const VIEW = { slices: 3, volume: 4 }; // NiiVue's numbers of its multiplanar and 3D views
  const NIFTI_DATA = 352; // where the voxels of a NIfTI-1 file begin
  const OPTIONS = {
    isRadiologicalConvention: true, sagittalNoseLeft: true, show3Dcrosshair: true,
    dragAndDropEnabled: false, backColor: [0, 0, 0, 1], crosshairColor: [0.9, 0.45, 0.1, 0.8],
    crosshairWidth: 0.6, loadingText: "", multiplanarLayout: 2, isResizeCanvas: true, dragMode: 0,
  };

  const unpacked = async (element) => {
    const bytes = Uint8Array.from(atob(element.textContent), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).arrayBuffer();
  };
  const packed = (name) => [...document.querySelectorAll(`[data-packed=${name}]`)];

  const niivueClass = async () => {
    const source = new TextDecoder().decode(await unpacked(packed("niivue")[0]));
    return new Promise((resolve, reject) => {
      document.addEventListener("NIIVUE_EVENT", (event) => resolve(event.detail), { once: true });
      const script = document.createElement("script");
      script.type = "module";
      script.textContent = source;
      script.addEventListener("error", () => reject(new Error("its script did not run")));
      document.head.append(script);
    });
  };

  // pCT - CT inside the head as a volume of its own: all lie on one grid and hold int16.
  const difference = (pct, ct, head) => {
    const out = pct.slice(0);
    const [to, from, inside] = [out, ct, head].map((file) => new Int16Array(file, NIFTI_DATA));
    for (let i = 0; i < to.length; i += 1) to[i] = inside[i] ? to[i] - from[i] : 0;
    return out;
  };

  const shown = (buffer, name, look) => ({ url: buffer, name, ...look }); // no address: nothing is fetched

  const start = async () => {
    if (!document.createElement("canvas").getContext("webgl2")) throw new Error("no WebGL 2");
    const Niivue = await niivueClass();
    const [ct, ...pcts] = await Promise.all(packed("volume").map(unpacked));
    const head = pcts.pop();
    body.hidden = false;
    const views = [new Niivue(OPTIONS), new Niivue(OPTIONS)];
    const canvases = [...root.querySelectorAll("canvas")];
    for (const [i, view] of views.entries()) await view.attachToCanvas(canvases[i], true);
    const [left, right] = views;
    left.broadcastTo([right], { "2d": true, "3d": true });
    right.broadcastTo([left], { "2d": true, "3d": true });

    const setWindow = () => {
      const [low, high] = control("window").value.split(" ").map(Number);
      for (const view of views) {
        Object.assign(view.volumes[0], { cal_min: low, cal_max: high });
        view.updateGLVolume();
      }
      tell();
    };
    const setView = () => {
      const name = control("view").value;
      for (const view of views) {
        view.opts.multiplanarShowRender = name === "all" ? 1 : 0; // always, never
        view.setSliceType(VIEW[name] ?? VIEW.slices);
      }
    };
    const setDifference = () => {
      right.setOpacity(1, control("difference").checked ? 0.7 : 0);
      tell();
    };
    const tell = () => {
      const [x, y, z] = left.frac2mm(left.scene.crosshairPos);
      const at = left.frac2vox(left.scene.crosshairPos);
      const [a, b] = views.map((view) => Math.round(view.volumes[0].getValue(...at)));
      const mm = [x, y, z].map((value) => value.toFixed(0)).join(", ");
      place.textContent = `At ${mm} mm (right, anterior, superior): ` +
        `CT ${a} HU, pCT ${b} HU, difference ${b - a} HU`;
    };
    const loadTrial = async () => {
      const chosen = control("trial").selectedIndex;
      const name = control("trial").value;
      const [low, high] = [-600, 1400];
      await right.loadVolumes([
        shown(pcts[chosen], "pct.nii", { cal_min: low, cal_max: high, colormap: "gray" }),
        shown(difference(pcts[chosen], ct, head), "difference.nii", {
          cal_min: 50, cal_max: 500, colormap: "warm", colormapNegative: "winter", opacity: 0,
        }),
      ]);
      root.querySelector("[data-title=trial]").textContent = `pCT, ${name}`;
      right.scene.crosshairPos = [...left.scene.crosshairPos];
      setWindow();
      setDifference();
      const dims = views.map((view) => view.volumes[0].dims.slice(1, 4).join(" x "));
      status.textContent = `CT of ${dims[0]} voxels, pCT of ${dims[1]}.`;
    };
    let loaded = Promise.resolve();
    const setTrial = () => (loaded = loaded.then(loadTrial)); // one after the other
    const onKey = (event) => {
      const step = {
        ArrowLeft: [-1, 0, 0], ArrowRight: [1, 0, 0], ArrowUp: [0, 0, 1], ArrowDown: [0, 0, -1],
        PageUp: [0, 1, 0], PageDown: [0, -1, 0],
      }[event.key];
      const zoom = { "+": 1.1, "-": 1 / 1.1 }[event.key];
      if (!step && !zoom) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      for (const view of views) {
        // Radiological pictures have the patient's right on the left.
        if (step && event.shiftKey) turnBy(view, step);
        else if (step) view.moveCrosshairInVox(-step[0], step[1], step[2]);
        else zoomBy(view, zoom);
      }
      tell();
    };
    const turnBy = (view, [x, , z]) => {
      const { renderAzimuth, renderElevation } = view.scene;
      view.setRenderAzimuthElevation(renderAzimuth + 10 * x, renderElevation + 10 * z);
    };
    const zoomBy = (view, factor) => {
      const [x, y, z, zoom] = view.scene.pan2Dxyzmm;
      view.setPan2Dxyzmm([x, y, z, Math.min(8, Math.max(1, zoom * factor))]);
      view.setScale(Math.min(4, Math.max(0.5, view.scene.volScaleMultiplier * factor)));
    };

    await left.loadVolumes([shown(ct, "ct.nii", { cal_min: -600, cal_max: 1400, colormap: "gray" })]);
    await setTrial();
    setView();
    for (const view of views) view.onLocationChange = tell;
    for (const canvas of canvases) canvas.addEventListener("keydown", onKey, true);
    const actions = { trial: setTrial, window: setWindow, view: setView, difference: setDifference };
    for (const [name, act] of Object.entries(actions)) control(name).addEventListener("change", act);
    button.hidden = true;
    canvases[0].focus({ preventScroll: true });
  };

  button.addEventListener("click", async () => {
    button.disabled = true;
    status.textContent = "Unpacking ...";
    try {
      await start();
    } catch (error) {
      status.textContent = `The viewer cannot run in this browser: ${error.message}`;
    }
  });
})();

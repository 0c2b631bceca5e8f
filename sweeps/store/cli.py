"""The verb `store`: what a stage store holds, whether it is whole, and room made in it."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from sweeps.store.collect import Holding, Survey, Waste
    from sweeps.store.lineage import Lineage
    from sweeps.store.store import Store

IN_PART, WIDTH = 3, 120

Action = Literal["ls", "gc", "verify"]


def store(
    action: Annotated[
        Action,
        typer.Argument(help="ls: list stages; gc: remove what nobody needs; verify: read all anew"),
    ],
    root: Annotated[str, typer.Argument(metavar="[STORE]", help="folder or URI")] = "./stages",
    as_program: Annotated[bool, typer.Option("--json", help="ls: for programs")] = False,
    yes: Annotated[bool, typer.Option(help="gc: remove; without it, only list")] = False,
    budget: Annotated[
        Optional[str],  # noqa: UP045  typer reads this form in every version
        typer.Option(metavar="SIZE", help="gc: only until the store is below, as in 20GB"),
    ] = None,
    set_aside: Annotated[
        bool, typer.Option("--set-aside", help="verify: take damaged stages out of the way")
    ] = False,
) -> None:
    """List a stage store, check its bytes, or make room. Exit code 3: damage, or over budget."""
    given = {"--json": as_program, "--yes": yes, "--budget": budget, "--set-aside": set_aside}
    of = {"--json": "ls", "--yes": "gc", "--budget": "gc", "--set-aside": "verify"}
    for option in (name for name, value in given.items() if value and of[name] != action):
        raise typer.BadParameter(f"{option} is for pct store {of[option]}, not for {action}.")
    found = _open(root)
    if action == "ls":
        _list(found, as_program=as_program)
    elif action == "gc":
        _collect(found, budget=budget, yes=yes)
    else:
        _verify(found, set_aside=set_aside)


def _open(root: str) -> "Store":
    from sweeps.store.store import Store, StoreError

    found = Store(root)
    if not found.exists():
        where = root if "://" in root else Path(root).resolve()
        raise StoreError(
            f"{where}: no stage store (neither its file STORE nor a stage is there). "
            "Name the folder that pct sweep calls --store; by default it lies beside the sweep's."
        )
    return found


def _list(found: "Store", *, as_program: bool) -> None:
    from rich.console import Console

    from sweeps.store.collect import survey
    from sweeps.store.lineage import lineages
    from sweeps.store.refs import read_refs
    from sweeps.store.sizes import spell_size

    whole, held = survey(found), lineages(read_refs(found))
    if as_program:
        typer.echo(json.dumps(_as_json(whole, held), indent=1))
        return
    table = _table("stage", "epoch", "trials", "size", "committed (UTC)", "kept because")
    for holding in whole.holdings:
        line = held.get(holding.key)
        table.add_row(
            holding.key[:12], str(line.epoch) if line else "-", _holders(line),
            spell_size(holding.bytes), _when(holding.committed), holding.why or "nobody's",
        )  # fmt: skip
    Console(width=WIDTH).print(table)
    typer.echo(_totals(whole))


def _collect(found: "Store", *, budget: str | None, yes: bool) -> None:
    from rich.console import Console

    from sweeps.store.collect import choose, collect, survey
    from sweeps.store.lineage import lineages
    from sweeps.store.refs import read_refs
    from sweeps.store.sizes import read_size, spell_size

    room = None if budget is None else read_size(budget)
    whole = survey(found)
    waste = choose(whole, budget=room)
    number = len(waste.leftovers) + len(waste.stages)
    if yes:
        removed = list(collect(found, waste))
        won = spell_size(sum(item.bytes for item in removed))
        typer.echo(f"{len(removed)} of {number} removed, {won} won. {_totals(survey(found))}")
    else:
        Console(width=WIDTH).print(_waste_table(waste, lineages(read_refs(found))))
        typer.echo(_totals(whole))
        typer.echo(f"{number} would go, {spell_size(waste.bytes)}. To remove them: --yes.")
    if room is not None and whole.kept_bytes > room:
        kept, limit = spell_size(whole.kept_bytes), spell_size(room)
        typer.echo(
            f"What must be kept is {kept}, above the budget of {limit}. `pct store ls` says why: "
            "let sweeps finish, write their reports, or give a larger budget.",
            err=True,
        )
        raise typer.Exit(IN_PART)


def _verify(found: "Store", *, set_aside: bool) -> None:
    from sweeps.store.verify import verify

    total, damaged = 0, 0
    for key, error in verify(found):
        total += 1
        if error is None:
            continue
        damaged += 1
        typer.echo(str(error))
        if set_aside:
            found.set_aside(key, str(error))
    left = " and set aside" if set_aside and damaged else ""
    typer.echo(f"{total} stages read, {damaged} damaged{left}")
    raise typer.Exit(IN_PART if damaged else 0)


def _waste_table(waste: "Waste", held: "dict[str, Lineage]") -> "Table":
    from sweeps.store.sizes import spell_size

    table = _table("goes", "size", "since (UTC)", "because")
    for seen in waste.leftovers:
        why = "set aside" if seen.path.startswith("set-aside/") else "left by a killed writer"
        table.add_row(_short(seen.path), spell_size(seen.bytes), _when(seen.modified), why)
    for holding in waste.stages:
        why = "in no sweep's refs"
        if holding.key in held:
            why = "its sweep is gone, or reported without promoting it"
        table.add_row(holding.key[:12], spell_size(holding.bytes), _when(holding.committed), why)
    return table


def _short(path: str) -> str:
    """A path whose key is cut as elsewhere."""
    return "/".join(part[:12] if len(part) == 32 else part for part in path.split("/"))


def _table(*titles: str) -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in titles:
        table.add_column(title, overflow="fold", no_wrap=title in ("stage", "size"))
    return table


def _holders(line: "Lineage | None") -> str:
    """The first trial that passes through, and how many more; of which sweep, the reason says."""
    leaves = [leaf for found in line.leaves.values() for leaf in found] if line else []
    more = f" +{len(leaves) - 1}" if len(leaves) > 1 else ""
    return f"{leaves[0]}{more}" if leaves else "-"


def _when(unix_time: float) -> str:
    return datetime.fromtimestamp(unix_time, UTC).strftime("%Y-%m-%d %H:%M")


def _totals(whole: "Survey") -> str:
    from sweeps.store.sizes import spell_size

    nobodys = sum(not holding.why for holding in whole.holdings)
    return (
        f"{len(whole.holdings)} stages, {spell_size(whole.total_bytes)} with "
        f"{len(whole.leftovers)} leftovers; {nobodys} are nobody's; "
        f"{spell_size(whole.kept_bytes)} must stay."
    )


def _as_json(whole: "Survey", held: "dict[str, Lineage]") -> dict[str, Any]:
    def entry(holding: "Holding") -> dict[str, Any]:
        line = held.get(holding.key)
        return {
            "key": holding.key, "epoch": line.epoch if line else None,
            "leaves": line.leaves if line else {}, "bytes": holding.bytes,
            "committed": holding.committed, "kept_because": holding.why or None,
        }  # fmt: skip

    return {
        "stages": [entry(holding) for holding in whole.holdings],
        "leftovers": [{"path": seen.path, "bytes": seen.bytes} for seen in whole.leftovers],
        "total_bytes": whole.total_bytes,
        "kept_bytes": whole.kept_bytes,
    }

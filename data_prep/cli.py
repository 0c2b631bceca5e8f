"""The verbs `prep`, `phantom` and `inspect`."""

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Optional

import typer

from data_prep.options import (
    SIZES,
    AboutFile,
    Address,
    AllowCut,
    ArmName,
    CropAt,
    DataFolder,
    Device,
    Fast,
    From,
    Ids,
    MasksBy,
    MaxSlices,
    PairingFile,
    PixelMm,
    Seed,
    SegmenterName,
    Size,
    Source,
    SplitBy,
    SplitsFile,
    Strata,
    Strict,
    Weights,
    Workers,
)
from data_prep.words import counted

if TYPE_CHECKING:
    from data_prep.records import CaseRecord, PrepConfig
    from data_prep.sources import Case, Pairing
    from data_prep.split_rules import SplitRule


def prep(
    source: Source,
    from_: From,
    to: DataFolder,
    arm: ArmName = "resize",
    size: Size = None,
    pixel_mm: PixelMm = None,
    crop_at: CropAt = "head",
    max_slices: MaxSlices = 30,
    masks: MasksBy = "auto",
    segmenter: SegmenterName = "craniofacial",
    fast: Fast = False,
    device: Device = None,
    weights: Weights = None,
    ids: Ids = "hash",
    seed: Seed = 0,
    allow_cut: AllowCut = False,
    split: SplitBy = "ranked",
    strata: Strata = "",
    splits: SplitsFile = None,
    strict: Strict = False,
    workers: Workers = 0,
    address: Address = None,
    pairing: PairingFile = None,
    about: AboutFile = None,
) -> None:
    """Turn MR-CT pairs into a data folder: masks, checks, splits, slices and volumes."""
    from data_prep.pipeline import prepare
    from data_prep.progress import bar
    from data_prep.tasks import Tasks

    config = _config(
        arm=arm, size=size or SIZES[arm], pixel_mm=pixel_mm, crop_at=crop_at, max_slices=max_slices,
        masks=masks, ids=ids, seed=seed, allow_cut=allow_cut, segmenter=segmenter, fast=fast,
        device=device, weights=weights, split=_rule(split, strata, splits),
    )  # fmt: skip
    found = _find(source, from_, pairing, about)
    cases = found if isinstance(found, list) else found.cases
    done: list[str] = []
    with bar("prep", total=len(cases), unit="cases") as show:

        def advance(record: "CaseRecord") -> None:
            done.append(record.status)
            show(len(done), f"{record.subject}   {done.count('refused')} refused")

        tasks = Tasks(workers, address)
        prepare(found, to, config, on_case=advance, tasks=tasks, strict=strict)
    if not isinstance(found, list) and (num := found.num_left_out):
        told = counted(num, "subject")
        print(f"{told} left out by --pairing: see {to}.private/pairing.csv")
    _tell_outcome(to)


def phantom(
    to: Annotated[Path, typer.Option(help="folder to write, as a TCIA download lies")],
    cases: Annotated[int, typer.Option(min=1, help="how many heads")] = 15,
    seed: Annotated[int, typer.Option(help="same seed, same bytes")] = 0,
    size: Annotated[int, typer.Option(help="pixels along each side of a slice")] = 256,
    slices: Annotated[int, typer.Option(help="slices a volume")] = 48,
) -> None:
    """Write analytic heads as DICOM with a metadata.csv, to try everything else on."""
    from data_prep.phantom_dicom import write_cohort
    from data_prep.progress import bar

    written: list[str] = []
    with bar("phantom", total=cases, unit="heads") as show:

        def advance(name: str) -> None:
            written.append(name)
            show(len(written), name)

        write_cohort(to, num_cases=cases, seed=seed, size=size, num_slices=slices, on_case=advance)
    print(f"{counted(cases, 'head')} -> {to}")
    print(f"next: pct prep tcia --from {to} --to DATA --ids keep")


def inspect(
    path: Annotated[Path, typer.Argument(help="a data folder, or a folder with one DICOM series")],
    to: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="write the DICOM series as .nii.gz, RAS"),
    ] = None,
    sheets: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="write a data folder's contact sheets as one HTML page"),
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="read every file of a data folder and check it whole")
    ] = False,
    as_program: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Say what a data folder holds, or check (and convert) one DICOM series."""
    from data_prep.metadata import BadInput

    is_data = (path / "manifest.json").is_file()
    given = {"--to": is_data and to, "--sheets": not is_data and sheets,
             "--verify": not is_data and verify}  # fmt: skip
    if wrong := [option for option, value in given.items() if value]:
        kind = "one DICOM series" if is_data else "a data folder"
        raise BadInput(f"{path}: {wrong[0]} is for {kind}, and this is none. Leave it out.")
    if is_data:
        _inspect_data(path, sheets, verify=verify, as_program=as_program)
    else:
        _inspect_series(path, to, as_program=as_program)


def _inspect_data(path: Path, sheets: Path | None, *, verify: bool, as_program: bool) -> None:
    from data_prep.fingerprint import fingerprint, lines

    verified = {"verified": _verify(path)} if verify else {}
    facts = fingerprint(path)
    print(json.dumps(facts | verified) if as_program else "\n".join(lines(facts)))
    if verified and not as_program:
        checked = "sha256, page checksums, versions, settings"
        print(f"{'verified':<14} {verified['verified']} files: {checked}")
    if sheets is not None:
        _write_sheets(path, sheets, quiet=as_program)


def _verify(data: Path) -> int:
    from data_prep.progress import bar
    from data_prep.shards import read_manifest
    from data_prep.verify import verify

    with bar("verify", total=len(read_manifest(data).files), unit="files") as show:
        return verify(data, on_file=show)


def _inspect_series(path: Path, to: Path | None, *, as_program: bool) -> None:
    from data_prep.dicom import census, check, convert, describe, series_lines
    from data_prep.volume import save_nifti

    _expect_series(path, to)
    series = census(path)
    check(series)
    volume = convert(series)
    facts = describe(series, volume)
    print(json.dumps(facts) if as_program else "\n".join(series_lines(facts)))
    if to is not None:
        save_nifti(volume, to)
        if not as_program:
            print(f"series -> {to}")


def _expect_series(path: Path, to: Path | None) -> None:
    from data_prep.metadata import BadInput

    if not path.is_dir():
        found = "a file" if path.exists() else "no such folder"
        raise BadInput(f"{path}: {found}. Name a data folder or one DICOM series' folder.")
    if (path / "slices").is_dir() or (path / "splits.json").is_file():
        raise BadInput(
            f"{path}: no finished data folder: it has no manifest.json. Run the same `pct prep` "
            "again; it goes on."
        )
    if to is not None and not to.name.endswith((".nii", ".nii.gz")):
        raise BadInput(f"--to {to}: expected a name that ends in .nii or .nii.gz.")


def _write_sheets(data: Path, page: Path, *, quiet: bool) -> None:
    from data_prep.sheets import write_sheets

    size = write_sheets(data, page).stat().st_size
    if not quiet:
        print(f"sheets -> {page} ({size / 1e6:.1f} MB)")


def _config(**settings: object) -> "PrepConfig":
    from pydantic import ValidationError

    from data_prep.pipeline import BadPrep, PrepConfig

    try:
        return PrepConfig.model_validate(settings)
    except ValidationError as error:
        wrong = "; ".join(_in_words(one["loc"], one["input"], one["msg"]) for one in error.errors())
        raise BadPrep(f"{wrong}. See `pct prep --help`.") from error


def _in_words(where: tuple[int | str, ...], found: object, message: str) -> str:
    message = message.removeprefix("Value error, ")
    return f"--{str(where[0]).replace('_', '-')} {found}: {message}" if where else message


def _rule(split: str, strata: str, by_hand: Path | None) -> "SplitRule":
    from data_prep.split_rules import BadSplit, parse_rule, read_rule

    if by_hand is None:
        return parse_rule(split, strata=strata)
    if (split, strata) != ("ranked", ""):
        raise BadSplit("--splits FILE says all: leave out --split and --strata.")
    return read_rule(by_hand)


def _find(
    source: Literal["tcia", "synthrad", "nifti"],
    folder: Path,
    pairing: Path | None,
    about: Path | None,
) -> "list[Case] | Pairing":
    from data_prep.sources import BadInput, find_cases, find_pairs, with_facts

    if source == "tcia":
        found = find_pairs(folder, pairing)
        return replace(found, cases=with_facts(found.cases, about)) if about else found
    if pairing is not None:
        raise BadInput(f"--pairing has no use with {source}: its cases are pairs. Leave it out.")
    cases = find_cases(source, folder)
    return list(with_facts(cases, about)) if about else cases


def _tell_outcome(data: Path) -> None:
    from data_prep.fingerprint import fingerprint

    facts = fingerprint(data)
    for case in facts["remarks"]:
        print(f"{case['status']:<8} {case['subject']}: {case['reason']}")
    counts = ", ".join(f"{name} {number}" for name, number in facts["status"].items() if number)
    splits = ", ".join(f"{name} {number}" for name, number in facts["cases"].items())
    print(f"{counts} -> {data} ({sum(facts['slices'].values())} slices; {splits})")
    if facts["status"]["refused"]:
        raise typer.Exit(3)

"""Data folders out and in (contract for helpers; the body is to be written).

PUBLIC API that pct, sweeps and dashboards rely on:

    read_manifest(data: Path) -> Manifest                 # ShardError names file and remedy
    read_slices(data: Path, split: Split) -> Slices       # rows ordered by (subject, z)
    list_cases(data: Path, split: Split) -> list[str]     # taken subjects, sorted
    read_volumes(data: Path, subject: str) -> CaseVolumes
    read_case_table(data: Path) -> pa.Table
    class ShardError(PctError)
"""

#!/bin/sh
# The whole chain on phantoms: sh demo.sh BIN OUT. Every step resumes: nothing done is redone.
set -eu
BIN=$1 OUT=$2
DB="sqlite:///$OUT/mlflow.db"
say() { printf '\n$ pct %s\n' "$*"; "$BIN/pct" "$@"; }

say phantom --to "$OUT/dicom" --cases 15
say prep tcia --from "$OUT/dicom" --to "$OUT/data" --size 128 --ids keep
say sweep demo --data "$OUT/data" --to "$OUT/sweep"
say promote "$OUT/sweep" --test
set -- "$OUT"/dicom/PHANTOM/*/*/*T1*
say predict models:/pct@champion --tracking "$DB" --mr "$1" --to "$OUT/pct"
say inspect "$1" --to "$OUT/mr.nii.gz"
say predict models:/pct@champion --tracking "$DB" --mr "$OUT/mr.nii.gz" --to "$OUT/pct.nii.gz"
say report "$OUT/sweep"

cat <<TEXT

Look at   $OUT/sweep/report.html          curves, scores, slices, a 3D viewer
          $OUT/data/contact/              a contact sheet a case
          $OUT/pct/                       a pseudo-CT as a DICOM CT series, checked in $OUT/pct.qc.png
          $OUT/pct.nii.gz                 the same as NIfTI, beside $OUT/mr.nii.gz
          $OUT/sweep/models/*/model_card.md   what the champion is, and is not, for
In MLflow $BIN/pct ui $OUT/sweep
TEXT

"""DICOM or NIfTI pairs of MR and CT to aligned, masked slice pairs in Parquet shards."""

"""Ready corpora: files of JSON lines or Parquet to rows."""

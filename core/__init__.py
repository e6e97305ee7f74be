"""TinyLogBERT Workbench: unlabelled log lines in, abnormal lines and the reasons out."""

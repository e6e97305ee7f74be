"""Streamlit pages over core.workbench."""

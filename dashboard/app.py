"""The server: pages, uploads, downloads. Start with `python -m streamlit run dashboard/app.py` from the root."""

from pathlib import Path

import streamlit as st

from dashboard.download import ROUTES
from dashboard.upload import UPLOADS

app = st.App(Path(__file__).with_name("shell.py"), routes=[*UPLOADS.routes(), *ROUTES])

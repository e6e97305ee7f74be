"""A run as one HTML page that needs nothing beside itself."""

from core.report.page import Incident, Judgement, Message, Report, html_report

__all__ = ["Incident", "Judgement", "Message", "Report", "html_report"]

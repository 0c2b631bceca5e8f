"""The driver's link to MLflow: what the trials leave in their spools is sent into runs.

Trials never open the tracking database. Tracking may be late; it never stops or slows training.
"""

from sweeps.tracking.contact import NoTracking, client_at
from sweeps.tracking.place import Place
from sweeps.tracking.tracker import Tracker

__all__ = ["NoTracking", "Place", "Tracker", "client_at"]

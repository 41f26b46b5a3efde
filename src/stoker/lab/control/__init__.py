"""What controllers stand on: the lab's clock, a client inside the process, queues of work."""

from stoker.lab.control.clock import LabClock
from stoker.lab.control.local import Local
from stoker.lab.control.manager import Controller, Manager, Target

__all__ = ["Controller", "LabClock", "Local", "Manager", "Target"]

"""One declaration per AWX resource; importing this package declares them all and registers their tags."""

from schemas import derive
from schemas.resources import label, organization

derive.register_all()

__all__ = ["label", "organization"]

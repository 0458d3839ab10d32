"""What all upstreams of one engine share. It decides nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..session.observations import Observations
from ..session.watch import Change
from ..settings import Settings
from ..tools.catalog import Catalog
from .allowed import Allowed
from .fingerprints import Fingerprints
from .sign_in import SignIns


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all upstreams of one engine share.

    Args:
        catalog: Holds the tools that programs can call.
        on_change: Called with what has changed: ``tools`` or ``upstreams``.
        observations: What tools without a return type have returned; None: that is not observed.
    """

    settings: Settings
    catalog: Catalog
    fingerprints: Fingerprints
    allowed: Allowed
    sign_ins: SignIns
    on_change: Callable[[Change], None]
    observations: Observations | None = None

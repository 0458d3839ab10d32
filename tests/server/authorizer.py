"""An authorizer that denies what a test names."""

from __future__ import annotations

from typing import Any

from jupyter_server.auth import Authorizer


class Whim(Authorizer):
    """Allows everything but `denied`: an action, or an action on one resource."""

    denied: set[str | tuple[str, str]] = set()  # noqa: RUF012  # shared with the test on purpose

    def is_authorized(self, handler: Any, user: Any, action: str, resource: str) -> bool:
        return self.denied.isdisjoint({action, (action, resource)})

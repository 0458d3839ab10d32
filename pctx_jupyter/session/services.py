"""Services: clients that are no kernels and offer their tools to agents and notebooks under a name that people read.

A service is known by its name. It keeps its namespaces, and what a person has decided on it, while it is disconnected.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from .. import errors
from ..visible import HIDDEN, spelled
from .session import Session, Sharing

LONGEST = 80
"""Characters that the name of a service may have: it stands in one line of a list."""
MOST_SERVICES = 1_000
"""Services that are known at the same time, whether they are connected or not."""

_WIDTH: dict[Sharing, int] = {"nobody": 0, "agents": 1, "everyone": 2}


@dataclass(slots=True, eq=False)
class Service:
    """One service.

    Args:
        id: Identifies it on this server.
        name: The name that people read.
        title: The name, with a number behind it where several services have it.
        instance: The client that is, or was last, this service; empty: it has not said which one it is.
        session: Its session; None while it is not connected.
        asked: With whom it wants to share its tools.
        limit: What a person has decided; the service does not share with more than these.
    """

    id: str
    name: str
    title: str
    instance: str = ""
    session: Session | None = None
    asked: Sharing = "nobody"
    limit: Sharing = "everyone"

    @property
    def sharing(self) -> Sharing:
        """With whom its tools are shared."""
        return min(self.asked, self.limit, key=_WIDTH.__getitem__)


class Services:
    """The services of one engine."""

    def __init__(self) -> None:
        self._by_id: dict[str, Service] = {}

    @property
    def ids(self) -> list[str]:
        """The ids of those that are known, whether they are connected or not."""
        return list(self._by_id)

    def get(self, id: str) -> Service | None:
        """The service of an id."""
        return self._by_id.get(id)

    def of(self, session: Session) -> Service | None:
        """The service that a session is; None: it is none."""
        return next((one for one in self._by_id.values() if one.session is session), None)

    def join(self, session: Session, name: str, instance: str) -> Service:
        """Make a session the service of a name.

        A client that was this service before is it again, even while its old connection seems to be open. Otherwise
        the session takes the place of a service of that name that is not connected, or is a further one.

        Raises:
            InvalidParams: The name cannot be used, or there are too many services.
        """
        check_name(name)
        here = self.of(session)
        if here is not None and here.name == name:
            return here
        if here is not None:
            here.session = None
        alike = [one for one in self._by_id.values() if one.name == name]
        found = next((one for one in alike if instance and one.instance == instance), None)
        found = found or next((one for one in alike if one.session is None), None)
        if found is None:
            if len(self._by_id) >= MOST_SERVICES:
                raise errors.InvalidParams(
                    f"Cannot share: {MOST_SERVICES:,} services are known here already; use one of their names"
                )
            number = len(alike) + 1
            digest = hashlib.blake2b(f"{number} {name}".encode(), digest_size=8).hexdigest()
            title = name if number == 1 else f"{name} ({number})"
            found = self._by_id[f"service-{digest}"] = Service(f"service-{digest}", name, title)
        found.session, found.instance = session, instance
        return found

    def leave(self, session: Session) -> Service | None:
        """Take note that a session is closed; returns the service that it was."""
        service = self.of(session)
        if service is not None:
            service.session = None
        return service


def check_name(name: str) -> None:
    """Refuse what people could not read as the name of a service.

    Raises:
        InvalidParams: Says why.
    """
    if not 0 < len(name) <= LONGEST:
        raise errors.InvalidParams(f"Cannot share: the name has {len(name):,} characters; use 1 to {LONGEST}")
    if HIDDEN.search(name) or name != " ".join(name.split()) or not name.isprintable():
        raise errors.InvalidParams(
            f"Cannot share: the name {spelled(name)!r} has characters that people cannot see, or spaces too many; "
            "use letters, digits and single spaces"
        )

"""One request for a page: who asks, with which parameters, and how the answer is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import msgspec
import trio
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from ..admin.accounts.identity import Identity
from ..admin.request import AdminRequest
from ..admin.resources import Resources
from ..admin.rights import Right
from ..config.schema import Config
from ..core import admin_path
from ..core.admin_path import outside
from ..store.engine.database import Database
from . import links
from .live.processes import ProcessFigures
from .live.shared import SharedFigures
from .live.stream import OpenPages
from .outcomes import taken, with_outcome
from .page_process.maker import PageProcess
from .page_process.task import RENDERERS, ReadTask, RenderTask
from .rendering import Templates
from .served_address import served_address

T = TypeVar("T")
# What places of a page show, by the names of the places: HTML as JSON has it.
Parts = Mapping[str, msgspec.Raw]

# Captures are whole requests and answers in memory.
_READERS: Final = 2
# Seconds for a page's query. A page that takes longer asks for too much, and says so.
QUERY_SECONDS: Final = 10.0
_THEMES: Final = ("light", "dark")


class Site:
    """What all pages share; see `Dashboard`."""

    def __init__(
        self,
        resources: Resources,
        templates: Templates,
        config: Callable[[], Config],
        page_process: PageProcess | None = None,
    ) -> None:
        self.resources = resources
        self.templates = templates
        self.config = config
        self.page_process = page_process
        self.renderers = trio.CapacityLimiter(RENDERERS)
        self.readers = trio.CapacityLimiter(_READERS)
        # To check a file takes time, of which one at a time may have some.
        self.checks = trio.CapacityLimiter(1)
        self.open_pages = OpenPages(resources.lifecycle)
        self.shared = SharedFigures()
        self.processes = ProcessFigures(resources)


class PageRequest:
    """What a page is made from. `admin` is the same request as the API sees one."""

    def __init__(self, site: Site, admin: AdminRequest) -> None:
        self.site = site
        self.admin = admin
        # What came of something that was just done, from the address: no parameter of a page.
        self.outcome = taken(admin)

    @property
    def visitor(self) -> Identity | None:
        """Return who asks; None on a page that needs no sign-in."""
        return self.admin.visitor

    @property
    def may_operate(self) -> bool:
        return self.visitor is not None and self.visitor.may(Right.OPERATE)

    @property
    def http(self) -> Request:
        return self.admin.http

    @property
    def path(self) -> str:
        """Return this page's own; the admin API has taken the slash of the first one."""
        path: str = self.http.scope["path"]
        return outside(links.ROOT if path == links.ROOT[:-1] else path)

    @property
    def base(self) -> str:
        """Return where models are served, as this person reaches the gateway."""
        return served_address(self.site.config(), self.admin.arrival)

    @property
    def resources(self) -> Resources:
        return self.site.resources

    @property
    def database(self) -> Database | None:
        return self.site.resources.database

    @property
    def wants_part(self) -> bool:
        """Say whether the page's script asks for what goes into a page that is open already."""
        return self.http.headers.get("hx-request") == "true"

    async def read(self, work: Callable[[Any], T], *, here: bool = False) -> T:
        """Do `work` on a connection. Raises NotFound if nothing is on record.

        It is done by the process that makes pages, and so must be fit to be pickled; `here`, in a
        thread, if it needs much of what this process knows.
        """
        process, database = self.site.page_process, self.admin.database
        # A database that this process may not use yet, the other one may not either.
        if process is not None and database.barred is None and not here:
            done = await process.do(ReadTask(work, QUERY_SECONDS))
            if done is not None:
                found: T = done.value
                return found
        return await database.read(work, QUERY_SECONDS)

    def link(self, **changes: object) -> str:
        """Return this page's address with other parameters; always from its first row."""
        return self.address(**changes)

    @property
    def address(self) -> links.PageAddress:
        return links.PageAddress(self.path, self.admin.params)

    async def page(self, template: str, *, status: int = 200, **context: Any) -> Response:
        """Answer with a page; `context` is what its template shows."""
        body = await self.render(template, **context)
        return HTMLResponse(body, status)

    async def render(self, template: str, **context: Any) -> bytes:
        (found,) = (await self._rendered({template: template}, context)).values()
        return found

    async def render_parts(self, templates: Mapping[str, str], **context: Any) -> Parts:
        """Return what the places show, by their names: made at once, as JSON."""
        found = await self._rendered(templates, context)
        return {
            place: msgspec.Raw(msgspec.json.encode(text.decode())) for place, text in found.items()
        }

    async def _rendered(
        self, templates: Mapping[str, str], context: Mapping[str, Any]
    ) -> dict[str, bytes]:
        given = {**self._context(), **context}
        process = self.site.page_process
        if process is not None:
            done = await process.do(RenderTask(templates, given, admin_path.current.get()))
            if done is not None:
                found: dict[str, bytes] = done.value
                return found
        return await trio.to_thread.run_sync(
            self.site.templates.render_all, templates, given, limiter=self.site.renderers
        )

    def go(self, target: str) -> Response:
        """Answer that the browser shall go to another page."""
        return RedirectResponse(target, 303)

    def done(self, page: str, code: str, name: str) -> Response:
        """Go to a page, which says what came of something that was done to `name`."""
        self.site.processes.forget()
        return self.go(with_outcome(self.admin, page, code, name))

    def _context(self) -> dict[str, Any]:
        theme = self.http.cookies.get("theme", "")
        return {
            "theme": theme if theme in _THEMES else "system",
            "visitor": self.visitor,
            "may_audit": self.visitor is not None and self.visitor.may(Right.AUDIT),
            "may_content": self.visitor is not None and self.visitor.may(Right.CONTENT),
            "may_operate": self.may_operate,
            "outcome": self.outcome,
            "params": self.admin.params,
            "link": self.address,
            "path": self.path,
            "part": self.wants_part,
            "now": self.admin.now,
        }

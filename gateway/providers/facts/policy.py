"""The table `[catalog]`: what of the data on models a gateway goes by."""

from __future__ import annotations

import msgspec


class CatalogPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`prices`: where a route has no price, that of the data is taken.

    `limits`: what does not fit into a model by the data is not sent to it.
    """

    prices: bool = True
    limits: bool = True

"""The site of the tenants' tests serves here too."""

from tests.gateway.tenants.conftest import fake, open_site, site

__all__ = ["fake", "open_site", "site"]

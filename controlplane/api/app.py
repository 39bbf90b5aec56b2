"""The API as an ASGI application: declared resources, hand-written routes, one gate, one edge."""

from __future__ import annotations

from litestar import Litestar
from litestar.datastructures import State
from litestar.types import ControllerRouterHandler

from controlplane.api import guards
from controlplane.api.access_routes import access_handlers
from controlplane.api.activity_routes import activity_handlers
from controlplane.api.ad_hoc_routes import ad_hoc_handlers
from controlplane.api.analytics_routes import analytics_handlers
from controlplane.api.auth import Authenticator
from controlplane.api.bulk_routes import bulk_handlers
from controlplane.api.callback_routes import callback_handlers
from controlplane.api.codes import Codes
from controlplane.api.config_routes import config_handlers
from controlplane.api.constructed_routes import constructed_handlers
from controlplane.api.credential_routes import credential_handlers
from controlplane.api.dashboard_routes import dashboard_handlers
from controlplane.api.directory_logins import DirectoryLogins
from controlplane.api.edge import Edge
from controlplane.api.error_answers import answer_error
from controlplane.api.event_routes import event_handlers
from controlplane.api.external_auth import ExternalAuth
from controlplane.api.history_routes import history_handlers
from controlplane.api.host_metric_routes import host_metric_handlers
from controlplane.api.instance_routes import instance_handlers
from controlplane.api.inventory_routes import inventory_handlers
from controlplane.api.inventory_source_routes import inventory_source_handlers
from controlplane.api.job_lists import job_list_handlers
from controlplane.api.job_routes import job_handlers
from controlplane.api.job_tables import register_job_tables
from controlplane.api.launch_routes import launch_handlers
from controlplane.api.live_routes import live_handlers
from controlplane.api.login_routes import login_handlers
from controlplane.api.login_settings import LoginSettings
from controlplane.api.metrics_routes import metrics_handlers
from controlplane.api.node_routes import node_handlers
from controlplane.api.notification_routes import notification_handlers
from controlplane.api.oauth_routes import oauth_handlers
from controlplane.api.openapi import openapi_handlers
from controlplane.api.passwords import Passwords
from controlplane.api.playlog_routes import playlog_handlers
from controlplane.api.project_routes import project_handlers
from controlplane.api.receptor_routes import receptor_handlers
from controlplane.api.relaunch_routes import relaunch_handlers
from controlplane.api.resource_routes import resource_handlers
from controlplane.api.schedule_routes import schedule_handlers
from controlplane.api.service_index_routes import service_index_handlers
from controlplane.api.services import Services
from controlplane.api.sessions import Sessions
from controlplane.api.settings_routes import settings_handlers
from controlplane.api.sightings import Sightings
from controlplane.api.sso_routes import sso_handlers
from controlplane.api.survey_routes import survey_handlers
from controlplane.api.system_job_routes import system_job_handlers
from controlplane.api.system_routes import system_handlers
from controlplane.api.template_lists import template_list_handlers
from controlplane.api.token_routes import token_handlers
from controlplane.api.unrun_routes import unrun_handlers
from controlplane.api.webhook_routes import webhook_handlers
from controlplane.api.workflow_job_routes import workflow_job_handlers
from controlplane.api.workflow_routes import workflow_handlers

BODY_BYTES_MAX = 64 * 1024 * 1024
"""A request body above this size is refused with 413."""


def create_app(services: Services) -> Litestar:
    """Return the application with every route there is; it can be walked without being served."""
    register_job_tables()

    def settings() -> LoginSettings:
        return services.login

    external = ExternalAuth(services)
    sources = [DirectoryLogins(services, external)]
    app = Litestar(
        route_handlers=_handlers(),
        guards=[guards.admit],
        exception_handlers={Exception: answer_error},
        state=State(
            {
                "services": services,
                "sightings": Sightings(),
                "codes": Codes(services.nats, settings),
                "authenticator": Authenticator(
                    Sessions(services.nats, settings), Passwords(), settings, sources
                ),
                "external": external,
            }
        ),
        openapi_config=None,
        request_max_body_size=BODY_BYTES_MAX,
    )
    app.asgi_handler = Edge(app.asgi_handler, services.settings.node, services.tracer)
    return app


def _handlers() -> list[ControllerRouterHandler]:
    """Return every route there is."""
    return [
        *system_handlers(),
        *settings_handlers(),
        *config_handlers(),
        *dashboard_handlers(),
        *metrics_handlers(),
        *analytics_handlers(),
        *login_handlers(),
        *token_handlers(),
        *oauth_handlers(),
        *access_handlers(),
        *inventory_handlers(),
        *inventory_source_handlers(),
        *constructed_handlers(),
        *ad_hoc_handlers(),
        *project_handlers(),
        *instance_handlers(),
        *receptor_handlers(),
        *host_metric_handlers(),
        *service_index_handlers(),
        *bulk_handlers(),
        *credential_handlers(),
        *template_list_handlers(),
        *resource_handlers(),
        *job_list_handlers(),
        *launch_handlers(),
        *relaunch_handlers(),
        *job_handlers(),
        *unrun_handlers(),
        *workflow_handlers(),
        *workflow_job_handlers(),
        *system_job_handlers(),
        *node_handlers(),
        *webhook_handlers(),
        *callback_handlers(),
        *survey_handlers(),
        *schedule_handlers(),
        *event_handlers(),
        *playlog_handlers(),
        *live_handlers(),
        *history_handlers(),
        *openapi_handlers(),
        *notification_handlers(),
        *activity_handlers(),
        *sso_handlers(),
    ]

"""OpenID Connect: discovery, the code flow with PKCE, and an id token that has to be right.

A token is believed when one of the provider's keys signed it (never a shared secret, never
``none``), it was issued by this provider for this client, has not expired, and carries the nonce of
the login that the browser began.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from msgspec import Struct

from controlplane.domain.external import social
from controlplane.domain.external.identity import Identity, Wanted
from controlplane.domain.external.social import SocialConfig
from controlplane.sso.attempts import Attempt, Unproved
from ops import clock

TIMEOUT_S = 10.0
KNOWN_S = 3600.0
"""What a provider says of itself is asked again after this."""
AGAIN_S = 30.0
"""A key that is not known is looked for at most this often."""
LEEWAY_S = 60
ALGORITHMS = [
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
]
SCOPES = "openid profile email"
TENANT = "{tenantid}"
"""In the issuer of a provider that issues under an address for each tenant."""
_TENANT_ISSUER = "https://login.microsoftonline.com/{tenantid}/v2.0"


class Known(Struct, frozen=True, kw_only=True):
    """What a provider says of itself, and when it was asked."""

    issuer: str
    authorize: str
    token: str
    userinfo: str
    jwks: str
    basic: bool
    """It takes the client's secret as Basic authentication."""
    keys: KeySet
    asked: float


class OpenId:
    """The OpenID providers of one process."""

    def __init__(self) -> None:
        """Start without knowing any."""
        self._known: dict[tuple[str, bool], Known] = {}

    def backend(self, config: SocialConfig, callback: str) -> OpenIdBackend:
        """Return the back end that these settings describe."""
        return OpenIdBackend(self, config, callback)

    async def known(self, config: SocialConfig, *, older_s: float = KNOWN_S) -> Known:
        """Return what a provider says of itself, if it was asked not longer ago than this."""
        key = (config.issuer, config.check_certificate)
        known = self._known.get(key)
        if known is None or clock.monotonic() - known.asked > older_s:
            known = self._known[key] = await _discover(config)
        return known


class OpenIdBackend:
    """One OpenID provider."""

    def __init__(self, providers: OpenId, config: SocialConfig, callback: str) -> None:
        """Have browsers come back to ``callback``."""
        self._providers = providers
        self._config = config
        self._callback = callback

    async def start(self, attempt: Attempt) -> tuple[str, str]:
        """Return the provider's address for this attempt; it needs no id."""
        known = await self._providers.known(self._config)
        async with self._client(known) as client:
            url, _ = client.create_authorization_url(
                known.authorize,
                state=attempt.state,
                nonce=attempt.nonce,
                code_verifier=attempt.verifier,
            )
        return str(url), ""

    async def complete(self, answer: Mapping[str, str], attempt: Attempt) -> Identity:
        """Return who it is by the provider's answer; raises Unproved."""
        if not answer.get("code"):
            raise Unproved("the provider sent no code")
        known = await self._providers.known(self._config)
        if answer.get("iss", known.issuer) != known.issuer and TENANT not in known.issuer:
            raise Unproved("the answer is from another issuer")
        try:
            async with self._client(known) as client:
                token = await client.fetch_token(
                    known.token, code=answer["code"], code_verifier=attempt.verifier
                )
                claims = await self._claims(token.get("id_token"), known, attempt.nonce)
                if known.userinfo and "email" not in claims:
                    claims = {**await _userinfo(client, known, claims["sub"]), **claims}
        except (AuthlibBaseError, httpx.HTTPError, JoseError, ValueError, KeyError) as error:
            raise Unproved(f"token: {type(error).__name__}") from error
        return self._identity(claims)

    def wanted(self, identity: Identity) -> Wanted:
        """Return what the settings make of somebody."""
        return social.wanted(self._config, identity)

    def _client(self, known: Known) -> Any:
        return AsyncOAuth2Client(
            client_id=self._config.key,
            client_secret=self._config.secret,
            scope=SCOPES,
            redirect_uri=self._callback,
            code_challenge_method="S256",
            token_endpoint_auth_method="client_secret_basic"
            if known.basic
            else "client_secret_post",
            timeout=TIMEOUT_S,
            leeway=0,
            verify=self._config.check_certificate,
        )

    async def _claims(self, id_token: Any, known: Known, nonce: str) -> dict[str, Any]:
        """Return what a token says once it is known to be for us; raises JoseError."""
        if not isinstance(id_token, str):
            raise Unproved("the provider sent no id token")
        try:
            token = jwt.decode(id_token, known.keys, algorithms=ALGORITHMS)
        except (JoseError, ValueError):
            known = await self._providers.known(self._config, older_s=AGAIN_S)
            token = jwt.decode(id_token, known.keys, algorithms=ALGORITHMS)
        claims = token.claims
        registry = jwt.JWTClaimsRegistry(
            now=int(clock.now().timestamp()),
            leeway=LEEWAY_S,
            iss={"essential": True, "value": _issuer(known.issuer, claims)},
            aud={"essential": True, "value": self._config.key},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
            sub={"essential": True},
        )
        registry.validate(claims)
        several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        if claims.get("azp", "" if several else self._config.key) != self._config.key:
            raise Unproved("the token was issued to another client")
        return dict(claims)

    def _identity(self, claims: Mapping[str, Any]) -> Identity:
        config = self._config
        email = _text(claims.get("email"))
        verified = claims.get("email_verified") is not False and not config.kind.tenants
        if config.domains and not (verified and email.rpartition("@")[2] in config.domains):
            raise Unproved("the address is of another domain")
        names = (claims.get("preferred_username"), claims.get("upn"), email, claims["sub"])
        return Identity(
            provider=config.name,
            uid=_text(claims["sub"]),
            username=next(each for each in map(_text, names) if each),
            first_name=_text(claims.get("given_name")),
            last_name=_text(claims.get("family_name")),
            email=email,
            email_verified=verified,
        )


async def _discover(config: SocialConfig) -> Known:
    """Ask a provider about itself; raises Unproved."""
    try:
        async with httpx.AsyncClient(
            timeout=TIMEOUT_S, verify=config.check_certificate, follow_redirects=True
        ) as client:
            url = f"{config.issuer}/.well-known/openid-configuration"
            told = (await client.get(url)).raise_for_status().json()
            keys = (await client.get(told["jwks_uri"])).raise_for_status().json()
        expected = _TENANT_ISSUER if config.kind.tenants else config.issuer
        if told["issuer"].rstrip("/") != expected:
            raise Unproved("the provider names another issuer")
        methods = told.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        return Known(
            issuer=told["issuer"],
            authorize=told["authorization_endpoint"],
            token=told["token_endpoint"],
            userinfo=told.get("userinfo_endpoint", ""),
            jwks=told["jwks_uri"],
            basic="client_secret_basic" in methods,
            keys=KeySet.import_key_set(keys),
            asked=clock.monotonic(),
        )
    except (httpx.HTTPError, JoseError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unproved(f"discovery: {type(error).__name__}") from error


async def _userinfo(client: Any, known: Known, subject: Any) -> dict[str, Any]:
    """Return what the provider tells of the token's own subject, and of nobody else."""
    told = (await client.get(known.userinfo)).raise_for_status().json()
    return told if isinstance(told, dict) and told.get("sub") == subject else {}


def _issuer(issuer: str, claims: Mapping[str, Any]) -> str:
    return issuer.replace(TENANT, _text(claims.get("tid")) or "-")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""

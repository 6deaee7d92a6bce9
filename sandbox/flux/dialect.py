"""What PostgREST 12.2 and 14 answer differently; `FluxSettings.dialect` chooses.

Flux pins 12.2 (`PostgREST12`); `PostgREST14` is what it may run some day. The base
class is the older one, the newer one overrides it. Flux contract: flux.md §12;
recording 21 holds each difference.
"""

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches

from .errors import FluxError, NotInSchemaCacheError, bad_token


class PostgREST12:
    """12.2, in its words."""

    server = "postgrest/12.2.12"
    trileans: tuple[str, ...] = ("null", "true", "false", "unknown")
    trilean_expected = "null or trilean value (unknown, true, false)"
    # Whether a read asks the schema cache for its table, as a write does.
    reads_by_cache = False
    # Whether `limit` and `order` hold for an update or delete.
    limits_writes = True
    # Whether `and`/`or` are applied to the changed rows once more (before 14.4).
    filters_changed_rows = True
    spreads_lists = False
    refuses_empty_bearer = False
    accepts_fractional_times = True
    # A token's role that is no role: status, and whether it is a challenge.
    unknown_role_status = 400

    def bad_path(self) -> FluxError:
        """Deeper than a table, or empty."""
        return NotInSchemaCacheError()

    def no_table(self, schema: str, name: str, known: Iterable[str]) -> FluxError:
        """A table that the schema cache lacks; `known` are those of the schema."""
        return NotInSchemaCacheError()

    def no_schema(self, schema: str, exposed: Sequence[str]) -> FluxError:
        """A profile header with a schema that is not exposed."""
        names = ", ".join(exposed)
        return FluxError(
            406, "PGRST106", f"The schema must be one of the following: {names}"
        )

    def not_one_row(self, rows: int) -> FluxError:
        """A single object was asked for."""
        return FluxError(
            406,
            "PGRST116",
            "JSON object requested, multiple (or no) rows returned",
            details=f"The result contains {rows} rows",
        )

    def not_three_parts(self, parts: int) -> FluxError:
        """A token that is none."""
        return bad_token(
            "JWSError (CompactDecodeError Invalid number of parts: Expected 3 parts;"
            f" got {parts})"
        )

    def unsigned(self) -> FluxError:
        """A token without a signature."""
        return bad_token("JWSError JWSNoSignatures")

    def bad_signature(self, algorithm: object) -> FluxError:
        """A token signed with another key, or by an algorithm that is not ours."""
        return bad_token("JWSError JWSInvalidSignature")

    def no_number(self, claim: str, value: object) -> FluxError:
        """A claim that must be a time."""
        kind = "String" if isinstance(value, str) else type(value).__name__
        return bad_token(
            f'JWTClaimsSetDecodeError "Error in $.{claim}: parsing NumericDate'
            f' failed, expected Number, but encountered {kind}"'
        )

    def out_of_time(self, claim: str) -> FluxError:
        """`exp` is past, `nbf` or `iat` is to come."""
        words = {"exp": "JWT expired", "nbf": "JWTNotYetValid"}
        return bad_token(words.get(claim, "JWTIssuedAtFuture"))

    def headers_of(self, code: str) -> dict[str, str]:
        """What every error carries beside its own headers."""
        return {}


class PostgREST14(PostgREST12):
    """14.17, where it differs."""

    server = "postgrest/14.17"
    trileans = ("null", "not_null", "true", "false", "unknown")
    trilean_expected = "isVal: (null, not_null, true, false, unknown)"
    reads_by_cache = True
    limits_writes = False
    filters_changed_rows = False
    spreads_lists = True
    refuses_empty_bearer = True
    accepts_fractional_times = False
    unknown_role_status = 401

    def bad_path(self) -> FluxError:
        """See `PostgREST12.bad_path`."""
        return FluxError(404, "PGRST125", "Invalid path specified in request URL")

    def no_table(self, schema: str, name: str, known: Iterable[str]) -> FluxError:
        """See `PostgREST12.no_table`."""
        near = get_close_matches(name, sorted(known), n=1, cutoff=0.75)
        return FluxError(
            404,
            "PGRST205",
            f"Could not find the table '{schema}.{name}' in the schema cache",
            hint=f"Perhaps you meant the table '{schema}.{near[0]}'" if near else None,
        )

    def no_schema(self, schema: str, exposed: Sequence[str]) -> FluxError:
        """See `PostgREST12.no_schema`."""
        names = ", ".join(exposed)
        return FluxError(
            406,
            "PGRST106",
            f"Invalid schema: {schema}",
            hint=f"Only the following schemas are exposed: {names}",
        )

    def not_one_row(self, rows: int) -> FluxError:
        """See `PostgREST12.not_one_row`."""
        error = super().not_one_row(rows)
        error.message = "Cannot coerce the result to a single JSON object"
        return error

    def not_three_parts(self, parts: int) -> FluxError:
        """See `PostgREST12.not_three_parts`."""
        if parts == 0:
            return bad_token("Empty JWT is sent in Authorization header")
        return bad_token(f"Expected 3 parts in JWT; got {parts}")

    def unsigned(self) -> FluxError:
        """See `PostgREST12.unsigned`."""
        return bad_token(
            "Wrong or unsupported encoding algorithm",
            details="JWT is unsecured but expected 'alg' was not 'none'",
        )

    def bad_signature(self, algorithm: object) -> FluxError:
        """See `PostgREST12.bad_signature`."""
        can = "was able" if algorithm == "HS256" else "was found"
        keys = "None of the keys" if algorithm == "HS256" else "No suitable key"
        return bad_token(
            "No suitable key or wrong key type",
            details=f"{keys} {can} to decode the JWT",
        )

    def no_number(self, claim: str, value: object) -> FluxError:
        """See `PostgREST12.no_number`."""
        message = f"The JWT '{claim}' claim must be a number"
        return bad_token(message, code="PGRST303")

    def out_of_time(self, claim: str) -> FluxError:
        """See `PostgREST12.out_of_time`."""
        words = {"exp": "JWT expired", "nbf": "JWT not yet valid"}
        return bad_token(words.get(claim, "JWT issued at future"), code="PGRST303")

    def headers_of(self, code: str) -> dict[str, str]:
        """See `PostgREST12.headers_of`."""
        return {"Proxy-Status": f"PostgREST; error={code}"}


DIALECTS: Mapping[int, PostgREST12] = {12: PostgREST12(), 14: PostgREST14()}

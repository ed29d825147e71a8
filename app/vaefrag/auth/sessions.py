"""Sessions: a signed cookie that shows that a browser has sent the right token."""

import hashlib
import hmac

from itsdangerous import BadSignature, TimestampSigner

STATEMENT = "entered"  # all that a session says; the signer adds when


class Sessions:
    """Issues sessions and checks them. The server stores none: any process that has the token can check them.

    Args:
        token: the access token. The signing key is derived from it, so another token ends every session.
        seconds: how long a session lasts.
    """

    def __init__(self, token: str, seconds: float) -> None:
        self.seconds = seconds
        self._digest = _digest(token)
        # Slow on purpose: whoever gets hold of a cookie should not be able to guess at a token that people thought up.
        key = hashlib.scrypt(token.encode(), salt=b"vaefrag sessions", n=2**14, r=8, p=1)
        self._signer = TimestampSigner(key, salt="session", digest_method=hashlib.sha256)
        # Browsers do not tell ports apart: two servers on one machine must not take each other's cookie away.
        self.cookie = f"vaefrag-{hashlib.sha256(key).hexdigest()[:8]}"

    def is_token(self, text: str) -> bool:
        """Return whether a text is the token, in a time that does not depend on where they differ."""
        return hmac.compare_digest(_digest(text), self._digest)

    def issue(self) -> str:
        """Return the value of a cookie that is valid from now on."""
        return self._signer.sign(STATEMENT).decode()

    def is_valid(self, cookie: str | None) -> bool:
        """Return whether a cookie is one of ours and not too old."""
        if not cookie:
            return False
        try:
            # The signer counts whole seconds.
            return self._signer.unsign(cookie, max_age=int(self.seconds)) == STATEMENT.encode()
        except BadSignature:
            return False


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()

"""Generated credentials, from the operating system's randomness alone."""

import secrets
import string

PASSWORD_LENGTH = 24
# Passwords travel through a HAProxy map file, YAML and shells: none of these characters means anything in any of them.
SPECIAL = "-_.~@%+="
_CLASSES = (string.ascii_uppercase, string.ascii_lowercase, string.digits, SPECIAL)
_ALPHABET = "".join(_CLASSES)


class SystemSecrets:
    def password(self) -> str:
        """24 characters with an upper case letter, a lower case letter, a digit and a special character."""
        randomness = secrets.SystemRandom()
        characters = [randomness.choice(group) for group in _CLASSES]
        characters += [randomness.choice(_ALPHABET) for _ in range(PASSWORD_LENGTH - len(_CLASSES))]
        randomness.shuffle(characters)
        # A leading "-" reads as an option, a leading "%" or "@" as markup: begin with a letter.
        first = next(index for index, character in enumerate(characters) if character.isalpha())
        characters[0], characters[first] = characters[first], characters[0]
        return "".join(characters)

    def token(self) -> str:
        """An API key: "zbk_" and 256 random bits."""
        return f"zbk_{secrets.token_urlsafe(32)}"

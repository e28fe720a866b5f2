"""Protection of a gallery at rest: the gallery's key, sealing, and the rotation of vectors."""

from voiceid.protection.ciphers import Key as Key
from voiceid.protection.ciphers import SealBroken as SealBroken
from voiceid.protection.key_ring import KeyRing as KeyRing
from voiceid.protection.key_source import KeySource as KeySource
from voiceid.protection.key_source import key_id_of as key_id_of
from voiceid.protection.rotation import rotation as rotation
from voiceid.protection.sealed_stream import SealedSpool as SealedSpool
from voiceid.protection.sealed_stream import opening as opening
from voiceid.protection.sealed_stream import sealing as sealing
from voiceid.protection.signatures import ANYBODY as ANYBODY
from voiceid.protection.signatures import SigningKey as SigningKey
from voiceid.protection.signatures import Trusted as Trusted
from voiceid.protection.signatures import is_public_key as is_public_key
from voiceid.protection.signatures import is_signed as is_signed
from voiceid.protection.vault import Kind as Kind
from voiceid.protection.vault import Vault as Vault

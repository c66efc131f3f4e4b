"""python -m penstock.services.authority"""

from penstock.runtime import main
from penstock.services.authority.service import build
from penstock.settings import load_settings

main("authority", build, load_settings())

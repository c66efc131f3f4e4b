"""python -m penstock.services.authority"""

from penstock.runtime import main
from penstock.services.authority.service import build

main("authority", build)

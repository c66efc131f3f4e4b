"""python -m services.authority"""

from penstock.runtime import main
from services.authority.service import build

main("authority", build)

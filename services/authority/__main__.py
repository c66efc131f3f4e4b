"""python -m services.authority"""

from penstock.worker import main
from services.authority.service import build

main("authority", build)

"""python -m services.authority"""

from penstock.runtime.worker import main
from services.authority.service import build

main("authority", build)

"""Create a number of tenants with django-tenants; prints one JSON line."""

import json
import os
import sys
import time

os.environ["DJANGO_SETTINGS_MODULE"] = "settings"

import django

django.setup()
from customers.models import Client  # noqa: E402
from django.core.management import call_command  # noqa: E402

call_command("makemigrations", "customers", "accounts", verbosity=0)
call_command("migrate_schemas", shared=True, verbosity=0)
count = int(sys.argv[1])
Client(schema_name="django_warm").save(verbosity=0)
began = time.perf_counter()
for n in range(count):
    Client(schema_name=f"django_{n}").save(verbosity=0)
seconds = time.perf_counter() - began
print(
    json.dumps({"task": "provision", "who": "django-tenants", "tenants": count, "seconds": seconds})
)

"""The service's table, with the same indexes."""

import uuid

from django.db import models


class User(models.Model):
    """A user."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    email = models.CharField(max_length=254, unique=True)
    password_hash = models.CharField(max_length=255)
    name = models.CharField(max_length=255)
    is_active = models.BooleanField(default=True, db_index=True)
    email_verified = models.BooleanField(default=False, db_index=True)
    verification_token = models.CharField(max_length=64, null=True)
    verification_token_expires_at = models.DateTimeField(null=True)
    last_login_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        """Its indexes."""

        indexes = (
            models.Index(fields=["verification_token"]),
            models.Index(fields=["is_active", "email_verified"]),
        )

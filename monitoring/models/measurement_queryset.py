from django.db import models


class MeasurementQuerySet(models.QuerySet):
    pass

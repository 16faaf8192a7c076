"""Pages over tables that only the pipeline writes, and that grow for years: read only, never counted."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.contrib.admin import ShowFacets
from django.contrib.admin.views.main import ORDER_VAR
from django.core.exceptions import PermissionDenied
from django.core.paginator import Page, Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import RangeDateTimeFilter
from unfold.views import ChangeList

# An OFFSET reads what it skips: past this many pages it is time to narrow down by time.
MOST_PAGES = 100


class UncountedPaginator(Paginator):  # type: ignore[type-arg]
    """Pages without COUNT(*): one row more than a page holds tells whether there is a next page."""

    template_name = "monitoring/admin/pagination.html"
    has_next = False
    at_the_end = False

    @property
    def count(self) -> int:
        """No count, but enough for the change list to ask for pages rather than for everything."""
        return MOST_PAGES * self.per_page

    def page(self, number: int | str) -> Page[Any]:
        number = self.validate_number(number)
        start = (number - 1) * self.per_page
        rows = list(self.object_list[start : start + self.per_page + 1])
        more = len(rows) > self.per_page
        self.has_next = more and number < MOST_PAGES
        self.at_the_end = more and number == MOST_PAGES
        return Page(rows[: self.per_page], number, self)


class FixedChangeList(ChangeList):  # type: ignore[misc]
    """A list in the one order that an index serves: `?o=` from the address bar would sort the whole table."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        # Equal, so that the page's head shows neither: the one is no count, the other would be.
        self.full_result_count = self.result_count

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Model]) -> list[str]:
        self.params.pop(ORDER_VAR, None)
        return list(self.model_admin.get_ordering(request))

    def get_ordering_field_columns(self) -> dict[int, str]:
        return {}


class ReadOnlyAdmin(ModelAdmin):  # type: ignore[misc]
    """Set `ordering` to what an index serves, whole: nothing is added to it.

    `lookups` are the only parameters that filter: any other would read the whole table for a page.
    """

    paginator = UncountedPaginator
    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    list_per_page = 50
    list_max_show_all = 0
    list_fullwidth = True
    list_filter_submit = True
    list_filter_sheet = True
    actions = None
    sortable_by: Sequence[str] = ()
    lookups: Sequence[str] = ()

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return FixedChangeList

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        return lookup in self.lookups

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class OwnPageAdmin(ReadOnlyAdmin):
    """Of rows whose page is ours rather than a form."""

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        row = self.get_object(request, object_id)
        if row is None:
            answer: HttpResponse = self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
            return answer
        return self.page_of(request, row)

    def page_of(self, request: HttpRequest, row: Any) -> HttpResponse:
        raise NotImplementedError


def time_range(field: str) -> tuple[str, ...]:
    """The parameters of unfold's filter by a range of time."""
    return tuple(f"{field}_{end}_{part}" for end in ("from", "to") for part in (0, 1))


class TimeRange(RangeDateTimeFilter):  # type: ignore[misc]
    """unfold's form; a date without a time is its midnight, in the zone in which times are shown."""

    @property
    def bounds(self) -> tuple[datetime | None, datetime | None]:
        """The first and the last moment, both in the range; None where it is open."""
        return self._given("from"), self._given("to")

    def queryset(self, request: HttpRequest, queryset: QuerySet[Model]) -> QuerySet[Model]:
        for moment, comparison in zip(self.bounds, ("gte", "lte"), strict=True):
            if moment is not None:
                queryset = queryset.filter(**{f"{self.parameter_name}__{comparison}": moment})
        return queryset

    def _given(self, end: str) -> datetime | None:
        day, time = (self.used_parameters.get(f"{self.parameter_name}_{end}_{part}") for part in (0, 1))
        try:
            moment = datetime.fromisoformat(f"{day} {time or '00:00'}") if day else None
            return moment and timezone.make_aware(moment.replace(tzinfo=None))
        except ValueError:
            return None

"""The pictures of what was sold, from the hub's own address."""

from base64 import b64decode

from django.http import HttpRequest, HttpResponse

from connectors.pictures import Picture, picture
from monitoring.pages.shell import one, part
from orders.models import OrderItem

# One transparent point: the page's own box shows through.
NOTHING = Picture(
    b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGBgAAAABQABpfZFQAAAAABJRU5ErkJggg=="),
    "image/png",
)
DAY, MINUTES = 24 * 3600, 300


@part
def item_picture(request: HttpRequest, pk: int) -> HttpResponse:
    """By the item, never by an address: nobody chooses what the hub asks for."""
    item = one(OrderItem.objects.only("image_url"), request, pk, "order__seller")
    found = picture(item.image_url)
    shown = found or NOTHING
    answer = HttpResponse(shown.content, content_type=shown.content_type)
    answer.headers["Cache-Control"] = f"private, max-age={DAY if found else MINUTES}"
    answer.headers["X-Content-Type-Options"] = "nosniff"
    return answer

"""Addresses of the polls."""

from django.urls import path

from . import views

app_name = "polls"
urlpatterns = [
    path("", views.poll_list, name="list"),
    path("<int:pk>/", views.poll, name="poll"),
    path("<int:pk>/result/", views.result, name="result"),
]

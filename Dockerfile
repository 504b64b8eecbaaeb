# relume's service. It runs without root, and its own file system may be read-only:
#   docker build --tag relume .
#   docker run --read-only --tmpfs /tmp --cap-drop ALL --memory 4500m \
#     --env RELUME_TOKEN --publish 127.0.0.1:8000:8000 relume
FROM python:3.13-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src src
RUN python -m venv /opt/relume \
    && /opt/relume/bin/pip install --no-cache-dir --constraint constraints.txt '.[serve,heif,jxl,raw]'

FROM python:3.13-slim-bookworm
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin relume
COPY --from=build /opt/relume /opt/relume
ENV PATH=/opt/relume/bin:$PATH PYTHONDONTWRITEBYTECODE=1
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request as web; web.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
ENTRYPOINT ["relume", "serve", "--host", "0.0.0.0"]

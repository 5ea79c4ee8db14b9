# The page on the shipped weights, on the CPU:
#   docker build -t ebm-studio . && docker run --rm -p 7860:7860 ebm-studio
FROM python:3.11-slim

RUN useradd --create-home studio
WORKDIR /home/studio/app
# torchvision on the index goes with the
# CUDA build of torch, which also runs without a GPU.
COPY pyproject.toml README.md LICENSE ./
COPY ebm_core ebm_core
COPY app app
COPY train train
RUN pip install --no-cache-dir -e '.[app]'
COPY weights weights

USER studio
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:7860', timeout=4)"]
CMD ["python", "-m", "app", "--host", "0.0.0.0"]

"""Exit code 0 if Flower's health server at the address given says that it serves."""

import sys

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

with grpc.insecure_channel(sys.argv[1]) as channel:
    answer = HealthStub(channel).Check(HealthCheckRequest(), timeout=4)
sys.exit(answer.status != HealthCheckResponse.SERVING)

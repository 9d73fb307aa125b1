// Load on a coordinator, over its real API: durable submits per second with their latencies, the time from
// its start to serving, and the floor: how many appends per second this disk syncs.
//
//   cherry-bench-control submit ADDRESS TOKEN_FILE COUNT THREADS PREFIX
//   cherry-bench-control dataset ADDRESS TOKEN_FILE
//   cherry-bench-control serving ADDRESS TOKEN_FILE JOB
//   cherry-bench-control fsync FILE COUNT
#include <fcntl.h>
#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "cherry/v1/coordinator.grpc.pb.h"
#include "common/file.h"
#include "common/ids.h"

namespace cherry {
namespace {

using SteadyTime = std::chrono::steady_clock;

double SecondsSince(SteadyTime::time_point start) {
  return std::chrono::duration<double>(SteadyTime::now() - start).count();
}

class Connection {
 public:
  Connection(const std::string& address, const std::string& token)
      : token_("Bearer " + token),
        // A channel of its own for each: by default gRPC shares one connection between equal channels.
        stub_(v1::Cherry::NewStub(
            grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), Own()))) {}

  template <typename Request, typename Reply>
  grpc::Status Call(grpc::Status (v1::Cherry::Stub::*method)(grpc::ClientContext*, const Request&, Reply*),
                    const Request& request, Reply* reply, bool wait_for_ready = false) {
    grpc::ClientContext context;
    context.AddMetadata("authorization", token_);
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    context.set_wait_for_ready(wait_for_ready);
    return (stub_.get()->*method)(&context, request, reply);
  }

 private:
  static grpc::ChannelArguments Own() {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 10);
    arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 10);
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 20);
    return arguments;
  }
  const std::string token_;
  std::unique_ptr<v1::Cherry::Stub> stub_;
};

v1::SubmitJobRequest Request(const std::string& name) {
  v1::SubmitJobRequest request;
  request.set_request_id(NewUuid());
  v1::JobSpec* spec = request.mutable_spec();
  spec->set_kind(v1::JobSpec::PRETRAIN);
  spec->set_name(name);
  spec->mutable_model()->set_preset("tiny");
  spec->mutable_data()->set_train("bench/train");
  spec->mutable_data()->set_valid("bench/valid");
  return request;
}

bool Check(const grpc::Status& status) {
  if (!status.ok()) {
    std::fprintf(stderr, "error %d: %s\n", status.error_code(), status.error_message().c_str());
  }
  return status.ok();
}

int Submit(const std::string& address, const std::string& token, int count, int threads,
           const std::string& prefix) {
  std::atomic<int> next{0};
  std::atomic<bool> good{true};
  std::vector<std::vector<double>> latencies(static_cast<size_t>(threads));
  const auto start = SteadyTime::now();
  std::vector<std::thread> clients;
  for (int t = 0; t < threads; ++t) {
    clients.emplace_back([&, t] {
      Connection connection(address, token);
      for (int i = next++; i < count && good; i = next++) {
        const auto begin = SteadyTime::now();
        v1::SubmitJobResponse reply;
        if (!Check(connection.Call(&v1::Cherry::Stub::SubmitJob, Request(absl::StrCat(prefix, i)), &reply))) {
          good = false;
        }
        latencies[static_cast<size_t>(t)].push_back(SecondsSince(begin));
      }
    });
  }
  for (std::thread& client : clients) client.join();
  const double seconds = SecondsSince(start);
  std::vector<double> all;
  for (const auto& part : latencies) all.insert(all.end(), part.begin(), part.end());
  std::sort(all.begin(), all.end());
  std::printf("%d clients: %d submits in %.2f s, %.0f per second, p50 %.2f ms, p99 %.2f ms\n", threads, count,
              seconds, count / seconds, all[all.size() / 2] * 1e3, all[all.size() * 99 / 100] * 1e3);
  return good ? 0 : 1;
}

int RegisterDataset(const std::string& address, const std::string& token) {
  Connection connection(address, token);
  v1::RegisterDatasetRequest request;
  request.set_request_id(NewUuid());
  v1::Dataset* dataset = request.mutable_dataset();
  dataset->set_name("bench");
  dataset->set_path("bench");
  dataset->set_vocab(2048);
  dataset->set_bytes_per_token(2);
  dataset->set_tokenizer_hash(std::string(32, '0'));
  for (const char* name : {"train", "valid"}) {
    v1::Split* split = dataset->add_splits();
    split->set_name(name);
    split->set_tokens(1'000'000);
    split->set_documents(100);
    split->set_bin_bytes(2'000'000);
    split->set_bin_hash(std::string(32, '0'));
    split->set_idx_hash(std::string(32, '0'));
  }
  v1::Dataset reply;
  return Check(connection.Call(&v1::Cherry::Stub::RegisterDataset, request, &reply, true)) ? 0 : 1;
}

int Serving(const std::string& address, const std::string& token, const std::string& job) {
  const auto start = SteadyTime::now();
  Connection connection(address, token);
  v1::GetJobRequest request;
  request.set_name(absl::StrCat("namespaces/default/jobs/", job));
  v1::Job reply;
  grpc::Status status;
  do {
    status = connection.Call(&v1::Cherry::Stub::GetJob, request, &reply, true);
  } while (status.error_code() == grpc::StatusCode::UNAVAILABLE && SecondsSince(start) < 60);
  std::printf("serving after %.3f s\n", SecondsSince(start));
  return Check(status) ? 0 : 1;
}

int Fsync(const std::string& path, int count) {
  const int fd = open(path.c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) return 1;
  const std::string record(1500, 'x');
  std::vector<double> latencies;
  for (int i = 0; i < count; ++i) {
    const auto begin = SteadyTime::now();
    if (write(fd, record.data(), record.size()) < 0 || fdatasync(fd) != 0) return 1;
    latencies.push_back(SecondsSince(begin));
  }
  close(fd);
  unlink(path.c_str());
  std::sort(latencies.begin(), latencies.end());
  std::printf("floor: fdatasync of 1.5 kB appends, p50 %.2f ms, p99 %.2f ms\n",
              latencies[latencies.size() / 2] * 1e3, latencies[latencies.size() * 99 / 100] * 1e3);
  return 0;
}

int Run(const std::vector<std::string>& arguments) {
  const std::string command = arguments.empty() ? "" : arguments[0];
  if (command == "fsync" && arguments.size() == 3) {
    return Fsync(arguments[1], std::atoi(arguments[2].c_str()));
  }
  if (arguments.size() < 3) {
    std::fprintf(stderr, "usage: see the head of tests/bench/control_plane.cc\n");
    return 2;
  }
  const auto token = ReadFile(arguments[2]);
  if (!token.ok()) {
    std::fprintf(stderr, "%s\n", token.status().ToString().c_str());
    return 1;
  }
  const std::string bearer(absl::StripAsciiWhitespace(*token));
  if (command == "submit" && arguments.size() == 6) {
    return Submit(arguments[1], bearer, std::atoi(arguments[3].c_str()), std::atoi(arguments[4].c_str()),
                  arguments[5]);
  }
  if (command == "dataset") {
    return RegisterDataset(arguments[1], bearer);
  }
  if (command == "serving" && arguments.size() == 4) {
    return Serving(arguments[1], bearer, arguments[3]);
  }
  return 2;
}

}  // namespace
}  // namespace cherry

int main(int argc, char** argv) { return cherry::Run({argv + 1, argv + argc}); }

#include "coordinator/core/placement.h"

#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/spec.h"

namespace cherry::coordinator {
namespace {

using v1::Resources;

struct Host {
  const WorkerEntry* worker = nullptr;
  std::vector<int32_t> slots;  // That may be used, ascending.
};

bool LabelsMatch(const v1::Worker& worker, const Resources& resources) {
  for (const auto& [key, value] : resources.node_selector()) {
    const auto found = worker.labels().find(key);
    if (found == worker.labels().end() || found->second != value) {
      return false;
    }
  }
  return true;
}

bool Avoided(const State& state, const WorkerEntry& worker) {
  return worker.record.failures_size() >= state.config.avoided_after;
}

// Workers that may run the job with their usable slots of one device.
std::vector<Host> HostsFor(const State& state, const Resources& resources, Resources::Device device,
                           Slots which, bool with_avoided) {
  std::vector<Host> hosts;
  for (const auto& [name, worker] : state.workers) {
    if (!WhyUnavailable(state, worker).empty() || !LabelsMatch(worker.worker(), resources) ||
        (!with_avoided && Avoided(state, worker)) || (which == Slots::kFree && !worker.strays.empty())) {
      continue;
    }
    Host host{&worker, {}};
    for (const v1::Slot& slot : worker.worker().slots()) {
      if (slot.device() == device && (which == Slots::kAll || worker.occupants.count(slot.index()) == 0)) {
        host.slots.push_back(slot.index());
      }
    }
    const int limit = resources.ranks_per_host();
    if (limit > 0 && static_cast<int>(host.slots.size()) > limit) {
      host.slots.resize(limit);
    }
    if (!host.slots.empty()) {
      hosts.push_back(std::move(host));
    }
  }
  return hosts;
}

int CountSlots(const std::vector<Host>& hosts) {
  int count = 0;
  for (const Host& host : hosts) {
    count += static_cast<int>(host.slots.size());
  }
  return count;
}

// Fewest hosts: the smallest that holds all of the rest, else the largest, again and again.
std::vector<v1::RankPlacement> Fill(std::vector<Host> hosts, int ranks) {
  std::stable_sort(hosts.begin(), hosts.end(),
                   [](const Host& a, const Host& b) { return a.slots.size() < b.slots.size(); });
  std::vector<v1::RankPlacement> placed;
  while (static_cast<int>(placed.size()) < ranks) {
    const size_t rest = ranks - placed.size();
    auto host =
        std::find_if(hosts.begin(), hosts.end(), [rest](const Host& h) { return h.slots.size() >= rest; });
    if (host == hosts.end()) {
      --host;
    }
    for (size_t i = 0; i < std::min(rest, host->slots.size()); ++i) {
      v1::RankPlacement& rank = placed.emplace_back();
      rank.set_rank(static_cast<int32_t>(placed.size()) - 1);
      rank.set_worker(host->worker->name());
      rank.set_slot(host->slots[i]);
      rank.set_state(v1::RankPlacement::PLACED);
      rank.set_incarnation(host->worker->worker().incarnation());
    }
    hosts.erase(host);
  }
  return placed;
}

std::vector<Resources::Device> DevicesOf(const Resources& resources) {
  switch (resources.device()) {
    case Resources::CPU:
      return {Resources::CPU};
    case Resources::CUDA:
      return {Resources::CUDA};
    default:
      return {Resources::CUDA, Resources::CPU};
  }
}

std::string RootMismatch(const State& state, const v1::Worker& worker) {
  const std::pair<const char*, const std::string*> expected[] = {
      {"data", &state.config.data_root_id}, {"checkpoints", &state.config.checkpoint_root_id}};
  for (const auto& [kind, id] : expected) {
    if (id->empty()) {
      continue;
    }
    const auto root = std::find_if(worker.roots().begin(), worker.roots().end(),
                                   [kind = kind](const v1::Root& r) { return r.kind() == kind; });
    if (root == worker.roots().end() || root->id() != *id) {
      return absl::StrCat("mounts another ", kind, " root than the coordinator");
    }
  }
  return "";
}

}  // namespace

std::string WhyUnavailable(const State& state, const WorkerEntry& worker) {
  switch (worker.worker().state()) {
    case v1::Worker::READY:
      break;
    case v1::Worker::CORDONED:
      return "is cordoned";
    case v1::Worker::DRAINING:
      return "is draining";
    default:
      return "is lost";
  }
  if (worker.connection == 0) {
    return "is not connected";
  }
  return RootMismatch(state, worker.worker());
}

std::optional<Gang> PlaceGang(const State& state, const v1::JobSpec& resolved, Slots slots) {
  const std::vector<int> counts = FeasibleRanks(resolved);
  for (const Resources::Device device : DevicesOf(resolved.resources())) {
    for (const bool with_avoided : {false, true}) {
      std::vector<Host> hosts = HostsFor(state, resolved.resources(), device, slots, with_avoided);
      const int available = CountSlots(hosts);
      for (const int count : counts) {
        if (count <= available) {
          return Gang{device, Fill(std::move(hosts), count)};
        }
      }
    }
  }
  return std::nullopt;
}

std::string PlacementShape(const v1::JobSpec& resolved) {
  const Resources& resources = resolved.resources();
  const std::map<std::string, std::string> selector(resources.node_selector().begin(),
                                                    resources.node_selector().end());
  return absl::StrCat(absl::StrJoin(FeasibleRanks(resolved), ","), "|", resources.device(), "|",
                      resources.ranks_per_host(), "|",
                      absl::StrJoin(selector, ",", absl::PairFormatter("=")));
}

Capacity CountCapacity(const State& state, const v1::JobSpec& resolved) {
  const Resources& resources = resolved.resources();
  const std::vector<int> counts = FeasibleRanks(resolved);
  Capacity capacity;
  capacity.needed = counts.empty() ? resources.ranks().min() : counts.back();
  for (const Resources::Device device : DevicesOf(resources)) {
    capacity.existing =
        std::max(capacity.existing, CountSlots(HostsFor(state, resources, device, Slots::kAll, true)));
    capacity.free =
        std::max(capacity.free, CountSlots(HostsFor(state, resources, device, Slots::kFree, true)));
  }
  v1::JobSpec smaller = resolved;
  smaller.mutable_resources()->mutable_ranks()->set_min(1);
  smaller.mutable_resources()->mutable_ranks()->set_max(std::max(capacity.existing, 1));
  const std::vector<int> smaller_counts = FeasibleRanks(smaller);
  capacity.largest_fit = capacity.existing > 0 && !smaller_counts.empty() ? smaller_counts.front() : 0;
  for (const auto& [name, worker] : state.workers) {
    const std::string why = WhyUnavailable(state, worker);
    if (!why.empty()) {
      capacity.excluded.push_back(absl::StrCat(name, " ", why));
    } else if (!LabelsMatch(worker.worker(), resources)) {
      capacity.excluded.push_back(absl::StrCat(name, " lacks the labels of resources.node_selector"));
    } else if (!worker.strays.empty()) {
      capacity.excluded.push_back(absl::StrCat(name, " is still ending processes of an earlier attempt"));
    }
  }
  return capacity;
}

}  // namespace cherry::coordinator

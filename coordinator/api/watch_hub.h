// Wakes streams when what they watch has changed. No polling anywhere.
#ifndef CHERRY_COORDINATOR_API_WATCH_HUB_H_
#define CHERRY_COORDINATOR_API_WATCH_HUB_H_

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"

namespace cherry::coordinator {

// A stream that waits for changes.
class Watcher {
 public:
  virtual ~Watcher() = default;
  // Something has changed; must not block.
  virtual void Wake() = 0;
  // The server goes away: end with this status.
  virtual void Close(const absl::Status& status) = 0;
};

inline constexpr char kAllEvents[] = "events";
inline std::string JobTopic(const std::string& uid) { return "job:" + uid; }
inline std::string LogTopic(const std::string& uid) { return "log:" + uid; }

// Thread-safe. Does not own watchers: those that are gone are forgotten.
class WatchHub {
 public:
  void Watch(const std::string& topic, const std::shared_ptr<Watcher>& watcher) {
    Find(topic);  // Forgets those that are gone: what has ended may never notify again.
    const std::lock_guard<std::mutex> lock(mutex_);
    watchers_.emplace(topic, watcher);
  }

  void Notify(const std::string& topic) {
    for (const std::shared_ptr<Watcher>& watcher : Find(topic)) {
      watcher->Wake();
    }
  }

  void CloseAll(const absl::Status& status) {
    std::vector<std::shared_ptr<Watcher>> all;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      for (const auto& [topic, weak] : watchers_) {
        if (std::shared_ptr<Watcher> watcher = weak.lock()) {
          all.push_back(std::move(watcher));
        }
      }
      watchers_.clear();
    }
    for (const std::shared_ptr<Watcher>& watcher : all) {
      watcher->Close(status);
    }
  }

 private:
  std::vector<std::shared_ptr<Watcher>> Find(const std::string& topic) {
    std::vector<std::shared_ptr<Watcher>> found;
    const std::lock_guard<std::mutex> lock(mutex_);
    auto [place, end] = watchers_.equal_range(topic);
    while (place != end) {
      if (std::shared_ptr<Watcher> watcher = place->second.lock()) {
        found.push_back(std::move(watcher));
        ++place;
      } else {
        place = watchers_.erase(place);
      }
    }
    return found;
  }

  std::mutex mutex_;
  std::multimap<std::string, std::weak_ptr<Watcher>> watchers_;  // Guarded by mutex_.
};

}  // namespace cherry::coordinator

#endif  // CHERRY_COORDINATOR_API_WATCH_HUB_H_

// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_AGENT_SOURCE_BPF_MAP_KEYS_H_
#define LOCKHOST_AGENT_SOURCE_BPF_MAP_KEYS_H_

#include <bpf/bpf.h>

#include <vector>

namespace lockhost::agent {

// Calls visit(key) for each key that the hash map had at one time; visit may delete it.
// Bounded, for the kernel starts over when a key has gone in between.
template <typename Key, typename Visit>
void ForEachKey(int map, Visit visit) {
  std::vector<Key> keys;
  Key key{};
  constexpr size_t kMaxKeys = 16384;
  for (int error = bpf_map_get_next_key(map, nullptr, &key); error == 0 && keys.size() < kMaxKeys;
       error = bpf_map_get_next_key(map, &key, &key)) {
    keys.push_back(key);
  }
  for (const Key& each : keys) visit(each);
}

}  // namespace lockhost::agent

#endif  // LOCKHOST_AGENT_SOURCE_BPF_MAP_KEYS_H_

// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <linux/bpf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "client/lock/attach.h"

namespace lockhost::lock {
namespace {

// The number of the line "key:<tab>number", or -1.
long FactOf(const char* text, size_t size, const char* key) {
  const size_t length = strlen(key);
  for (const char *line = text, *end = text + size; line < end;) {
    const auto* newline =
        static_cast<const char*>(memchr(line, '\n', static_cast<size_t>(end - line)));
    if (newline == nullptr) return -1;  // cut off
    if (static_cast<size_t>(newline - line) > length + 2 && memcmp(line, key, length) == 0 &&
        line[length] == ':' && line[length + 1] == '\t') {
      long value = 0;
      for (const char* at = line + length + 2; at < newline; ++at) {
        if (*at < '0' || *at > '9' || value > 1'000'000) return -1;
        value = value * 10 + (*at - '0');
      }
      return value;
    }
    line = newline + 1;
  }
  return -1;
}

size_t ReadFdinfo(int fd, char* text, size_t room) {
  char path[64];
  snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  const ssize_t got = read(file, text, room);
  close(file);
  return got > 0 ? static_cast<size_t>(got) : 0;
}

}  // namespace

uint64_t FrozenArrayBytes(const char* text, size_t size) {
  if (FactOf(text, size, "map_type") != BPF_MAP_TYPE_ARRAY) return 0;
  if (FactOf(text, size, "frozen") != 1) return 0;
  const long entry_bytes = FactOf(text, size, "value_size");
  const long entries = FactOf(text, size, "max_entries");
  if (entry_bytes != long{sizeof(lockhost_thread_slot)} || entries <= 1) return 0;
  return static_cast<uint64_t>(entries) * sizeof(lockhost_thread_slot);
}

bool MapThreadPage(int fd, const lockhost_hint_header* lease, lockhost_threads* threads) {
  *threads = {};
  if (fd < 0) return false;
  char text[1024];
  const uint64_t bytes = FrozenArrayBytes(text, ReadFdinfo(fd, text, sizeof(text)));
  if (bytes == 0) return false;
  void* memory = mmap(nullptr, bytes, PROT_READ, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) return false;
  const auto* page = static_cast<const lockhost_thread_header*>(memory);
  const uint32_t slots = lockhost_check_thread_page(page, bytes);
  if (slots == 0) {
    munmap(memory, bytes);
    return false;
  }
  threads->lease = lease;
  threads->page = page;
  threads->generation = page->generation;
  threads->slot_count = slots;
  return true;
}

}  // namespace lockhost::lock

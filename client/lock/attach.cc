// SPDX-License-Identifier: Apache-2.0
#include "client/lock/attach.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cstring>

namespace lockhost::lock {
namespace {

constexpr long kSysfsMagic = 0x62656572;

bool CannotShrink(int fd) {
  const int seals = fcntl(fd, F_GET_SEALS);
  if (seals >= 0) return (seals & F_SEAL_SHRINK) != 0;
  struct statfs system {};
  return fstatfs(fd, &system) == 0 && system.f_type == kSysfsMagic;
}

// Maps the whole file; null on any failure.
void* Map(int fd, int protection, uint64_t* bytes) {
  struct stat info {};
  if (fstat(fd, &info) != 0 || info.st_size <= 0) return nullptr;
  *bytes = static_cast<uint64_t>(info.st_size);
  void* address = mmap(nullptr, *bytes, protection, MAP_SHARED, fd, 0);
  return address == MAP_FAILED ? nullptr : address;
}

// Closes what is open.
void Close(int fd) {
  if (fd >= 0) close(fd);
}

// The number after the colon of "key : value" if `line` has that key, otherwise -1.
long ValueOf(const char* line, size_t length, const char* key) {
  const size_t key_length = strlen(key);
  if (length <= key_length || strncmp(line, key, key_length) != 0) return -1;
  const char* end = line + length;
  const char* at = line + key_length;
  while (at < end && (*at == ' ' || *at == '\t')) ++at;
  if (at == end || *at != ':') return -1;
  ++at;
  while (at < end && *at == ' ') ++at;
  long value = -1;
  for (; at < end && *at >= '0' && *at <= '9' && value < 1'000'000; ++at) {
    value = (value < 0 ? 0 : value * 10) + (*at - '0');
  }
  return value;
}

}  // namespace

lockhost_status_code_t MapPages(int hint_fd, int report_fd, lockhost_pages* pages) {
  *pages = {};
  if (!CannotShrink(hint_fd)) return LOCKHOST_STATUS_UNSEALED;
  uint64_t bytes = 0;
  const auto* hints = static_cast<const lockhost_hint_header*>(Map(hint_fd, PROT_READ, &bytes));
  const uint32_t slots = lockhost_check_hint_page(hints, bytes);
  if (slots == 0) return LOCKHOST_STATUS_BAD_PAGE;
  pages->lease = hints;
  pages->hints = hints;
  pages->hint_slots = slots;
  if (report_fd < 0 || !CannotShrink(report_fd)) return LOCKHOST_STATUS_HINTS;

  auto* reports =
      static_cast<lockhost_report_header*>(Map(report_fd, PROT_READ | PROT_WRITE, &bytes));
  const uint32_t report_slots = lockhost_check_report_page(reports, bytes);
  if (report_slots != 0) {
    pages->reports = reports;
    pages->report_slots = report_slots;
  }
  return LOCKHOST_STATUS_HINTS;
}

lockhost_status_code_t MapPageFiles(const char* hint_path, const char* report_path,
                                    lockhost_pages* pages) {
  *pages = {};
  const int hint_fd = open(hint_path, O_RDONLY | O_CLOEXEC);
  if (hint_fd < 0) return LOCKHOST_STATUS_NO_PAGE;
  const int report_fd = open(report_path, O_RDWR | O_CLOEXEC);
  const lockhost_status_code_t result = MapPages(hint_fd, report_fd, pages);
  Close(hint_fd);
  Close(report_fd);
  return result;
}

lockhost_status_code_t MapPagesOfAgent(const char* socket_path, lockhost_pages* pages,
                                       const ThreadWish* wish, ThreadsState* state) {
  *pages = {};
  AgentAnswer answer;
  const int64_t* offset = wish != nullptr ? &wish->number_offset : nullptr;
  if (!ReceivePages(socket_path, offset, &answer)) return LOCKHOST_STATUS_NO_PAGE;
  const lockhost_status_code_t result = MapPages(answer.hint_fd, answer.report_fd, pages);
  if (wish != nullptr && result == LOCKHOST_STATUS_HINTS) {
    answer.threads.mapped = MapThreadPage(answer.thread_fd, pages->hints, wish->threads);
  }
  if (state != nullptr) *state = answer.threads;
  Close(answer.hint_fd);
  Close(answer.report_fd);
  Close(answer.thread_fd);
  return result;
}

void ParseApicIds(const char* text, size_t size, uint16_t* vcpu_of_cpu, uint32_t count) {
  long cpu = -1;
  for (const char *line = text, *end = text + size; line < end;) {
    const auto* newline =
        static_cast<const char*>(memchr(line, '\n', static_cast<size_t>(end - line)));
    const char* line_end = newline != nullptr ? newline : end;
    const auto length = static_cast<size_t>(line_end - line);
    const long processor = ValueOf(line, length, "processor");
    const long apic_id = ValueOf(line, length, "apicid");
    if (processor >= 0) cpu = processor;
    if (apic_id >= 0 && apic_id < UINT16_MAX && cpu >= 0 && cpu < static_cast<long>(count)) {
      __atomic_store_n(&vcpu_of_cpu[cpu], static_cast<uint16_t>(apic_id), __ATOMIC_RELAXED);
    }
    line = line_end + 1;
  }
}

}  // namespace lockhost::lock

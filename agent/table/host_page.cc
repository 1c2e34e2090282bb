// SPDX-License-Identifier: Apache-2.0
#include "agent/table/host_page.h"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <thread>
#include <type_traits>

#include "absl/status/status.h"

namespace lockhost::agent {
namespace {

static_assert(std::is_trivially_copyable_v<HostFigures>);
static_assert(sizeof(HostFigures) % sizeof(uint64_t) == 0);
constexpr size_t kWords = sizeof(HostFigures) / sizeof(uint64_t);

// Word by word and atomic: a reader may look on (Boehm, "Can Seqlocks Get Along with
// Programming Language Memory Models?", MSPC 2012).
void StoreWords(HostFigures* to, const HostFigures& from) {
  auto* words = reinterpret_cast<uint64_t*>(to);
  const auto* source = reinterpret_cast<const std::byte*>(&from);
  for (size_t i = 0; i < kWords; ++i) {
    uint64_t word;
    std::memcpy(&word, source + i * sizeof(word), sizeof(word));
    std::atomic_ref(words[i]).store(word, std::memory_order_release);
  }
}

void LoadWords(HostFigures* to, const HostFigures& from) {
  auto* words = reinterpret_cast<uint64_t*>(const_cast<HostFigures*>(&from));
  auto* target = reinterpret_cast<std::byte*>(to);
  for (size_t i = 0; i < kWords; ++i) {
    const uint64_t word = std::atomic_ref(words[i]).load(std::memory_order_acquire);
    std::memcpy(target + i * sizeof(word), &word, sizeof(word));
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<HostPageWriter>> HostPageWriter::Create() {
  auto memory = SealedMemory::Create("lockhost-host", sizeof(HostPage));
  if (!memory.ok()) return memory.status();
  std::unique_ptr<HostPageWriter> writer(new HostPageWriter(*std::move(memory)));
  HostPage& page = writer->page();
  page.magic = kHostPageMagic;
  page.version = kHostPageVersion;
  page.bytes = sizeof(HostPage);
  return writer;
}

void HostPageWriter::Write(const HostFigures& figures) {
  std::atomic_ref sequence(page().sequence);
  const uint64_t before = sequence.load(std::memory_order_relaxed);
  // The exchange keeps the words' stores behind it.
  sequence.exchange(before + 1, std::memory_order_acq_rel);
  StoreWords(&page().figures, figures);
  sequence.store(before + 2, std::memory_order_release);
}

absl::StatusOr<std::unique_ptr<HostPageReader>> HostPageReader::Attach(int fd) {
  auto view = SealedView::Map(fd, sizeof(HostPage));
  if (!view.ok()) return view.status();
  const auto* page = static_cast<const HostPage*>(view->data());
  if (page->magic != kHostPageMagic || page->version != kHostPageVersion ||
      page->bytes != sizeof(HostPage)) {
    return absl::InvalidArgumentError("no host page, or one of another version");
  }
  return std::unique_ptr<HostPageReader>(new HostPageReader(*std::move(view)));
}

std::unique_ptr<HostFigures> HostPageReader::Read() const {
  auto* page = static_cast<HostPage*>(const_cast<void*>(view_.data()));
  const std::atomic_ref sequence(page->sequence);
  auto figures = std::make_unique<HostFigures>();
  // A writer that lost its CPU at work is back within some scheduling rounds: it is waited for
  // asleep, so that the CPU it needs is not spun away.
  constexpr int kTries = 200;
  constexpr auto kRest = std::chrono::microseconds(100);
  for (int i = 0; i < kTries; ++i) {
    if (i > 0) std::this_thread::sleep_for(kRest);
    const uint64_t before = sequence.load(std::memory_order_acquire);
    if (before % 2 != 0) continue;
    LoadWords(figures.get(), page->figures);
    if (sequence.load(std::memory_order_acquire) == before) return figures;
  }
  return nullptr;
}

}  // namespace lockhost::agent

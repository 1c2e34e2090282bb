// SPDX-License-Identifier: Apache-2.0
//
// Runs a fuzzer's LLVMFuzzerTestOneInput without libFuzzer, for every `make test` and
// every sanitizer: first on the inputs in the files and directories named as arguments,
// then on so many mutations of them as the first argument says. The mutations are the same in each
// run.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

using Input = std::vector<uint8_t>;

constexpr size_t kMaxInputBytes = 8192;
constexpr char kFailedInputFile[] = "failed-input";

// What the signal handler writes out.
const uint8_t* current_data = nullptr;
size_t current_size = 0;

void LeaveInputBehind(int) {
  const int fd = open(kFailedInputFile, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd >= 0 && write(fd, current_data, current_size) == static_cast<ssize_t>(current_size)) {
    constexpr char kText[] = "the input is in ./failed-input; replay it as an argument\n";
    [[maybe_unused]] const ssize_t ignored = write(STDERR_FILENO, kText, sizeof(kText) - 1);
  }
  signal(SIGABRT, SIG_DFL);
  raise(SIGABRT);
}

void Run(const Input& input) {
  // A block of exactly this size: AddressSanitizer sees the first byte beyond it.
  const auto exact = std::make_unique<uint8_t[]>(input.size());
  std::copy(input.begin(), input.end(), exact.get());
  current_data = exact.get();
  current_size = input.size();
  LLVMFuzzerTestOneInput(exact.get(), input.size());
}

Input ReadFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return Input(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}

std::vector<Input> ReadInputs(char** arguments) {
  std::vector<std::filesystem::path> paths;
  for (char** argument = arguments; *argument != nullptr; ++argument) {
    if (!std::filesystem::is_directory(*argument)) {
      paths.emplace_back(*argument);
      continue;
    }
    for (const auto& entry : std::filesystem::directory_iterator(*argument)) {
      paths.push_back(entry.path());
    }
  }
  std::sort(paths.begin(), paths.end());  // a directory has no order of its own
  std::vector<Input> inputs;
  for (const auto& path : paths) inputs.push_back(ReadFile(path));
  return inputs;
}

class Mutator {
 public:
  explicit Mutator(const std::vector<Input>& seeds) : seeds_(seeds) {}

  Input Next() {
    Input input = AnySeed();
    const size_t changes = 1 + Below(4);
    for (size_t i = 0; i < changes; ++i) Change(input);
    input.resize(std::min(input.size(), kMaxInputBytes));
    return input;
  }

 private:
  // Not std::uniform_int_distribution: it may differ between libraries.
  size_t Below(size_t end) { return end == 0 ? 0 : random_() % end; }
  const Input& AnySeed() { return seeds_[Below(seeds_.size())]; }
  uint8_t AnyByte() {
    constexpr uint8_t kTelling[] = {0, 1, 0x7f, 0x80, 0xff, ' ', '/', '0'};
    return Below(2) == 0 ? kTelling[Below(std::size(kTelling))] : static_cast<uint8_t>(Below(256));
  }

  void Change(Input& input) {
    const size_t at = Below(input.size());
    const size_t length = Below(std::min<size_t>(input.size() - at, 16) + 1);
    const auto from = input.begin() + static_cast<ptrdiff_t>(at);
    switch (Below(6)) {
      case 0:
        if (!input.empty()) input[at] ^= static_cast<uint8_t>(1 << Below(8));
        break;
      case 1:
        std::generate_n(from, length, [this] { return AnyByte(); });
        break;
      case 2:
        input.erase(from, from + static_cast<ptrdiff_t>(length));
        break;
      case 3:
        input.insert(from, 1 + Below(8), AnyByte());
        break;
      case 4:
        input.resize(at);
        break;
      case 5: {  // goes on as another seed does
        const Input& other = AnySeed();
        const auto tail = other.begin() + static_cast<ptrdiff_t>(Below(other.size() + 1));
        input.resize(at);
        input.insert(input.end(), tail, other.end());
        break;
      }
    }
  }

  const std::vector<Input>& seeds_;
  std::mt19937_64 random_{20220409};
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: %s MUTATIONS FILE_OR_DIRECTORY...\n", argv[0]);
    return 2;
  }
  const int mutations = std::atoi(argv[1]);
  const std::vector<Input> seeds = ReadInputs(argv + 2);
  if (seeds.empty()) {
    std::fprintf(stderr, "no input found\n");
    return 1;
  }
  signal(SIGABRT, LeaveInputBehind);
  for (const Input& seed : seeds) Run(seed);
  Run({});
  Mutator mutator(seeds);
  for (int i = 0; i < mutations; ++i) Run(mutator.Next());
  std::printf("%zu inputs and %d mutations of them\n", seeds.size(), mutations);
  return 0;
}

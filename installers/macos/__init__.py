"""What set-up knows about macOS: Qt brings what it needs, the compiler comes with Apple's command line tools."""

COMPILER_LINE = "xcode-select --install"

"""What `import noisy_lightning.data` costs beyond torch and Lightning."""

import ast
import subprocess
import sys

SLOW = ("sklearn", "pandas", "scipy", "timm", "matplotlib", "tensorboard", "torchvision.transforms.v2")


def test_what_few_data_sets_need_is_not_imported_with_all() -> None:
    code = (
        "import sys, lightning.pytorch; before = set(sys.modules); import noisy_lightning.data; "
        "print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = ast.literal_eval(done.stdout)
    assert "noisy_lightning.data.sets.digits" in imported
    assert not [name for name in imported if name.startswith(SLOW)]

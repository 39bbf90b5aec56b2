"""What Ansible loads beside them."""

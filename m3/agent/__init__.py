"""The controller: actor and critic, and their training in imagination."""
